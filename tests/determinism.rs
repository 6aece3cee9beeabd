//! `deterministic`: the very same bits from any number of slots, of any speeds, that finish in any order; of a tool whose outputs
//! depend on all items of the batch.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use toolpool::device::Slot;
use toolpool::error::{Error, Result, Status};
use toolpool::mem::{Field, Items};
use toolpool::plan::batch::Cut;
use toolpool::pool::{JobOptions, Pool};
use toolpool::tool::{Identity, Killer, Loaded, Tool, Work};
use toolpool::value::{Dtype, Shape};
use toolpool_simulation::{Machine, Random, Time, World};

const ITEMS: usize = 400;

/// Gives each item a hash of its whole batch up to and with the item; slow as its slot is, and moody.
struct Mates {
    identity: Identity,
    world: Arc<World>,
    /// A batch with a longer item fails.
    longest: u8,
}

impl Tool for Mates {
    fn name(&self) -> &str {
        "mates"
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn cost(&self, item: &[u8]) -> f64 {
        f64::from(item[0])
    }

    fn extent(&self, item: &[u8]) -> u64 {
        u64::from(item[0])
    }

    fn limits(&self) -> Cut {
        Cut {
            budget: 1000,
            max_items: 16,
        }
    }

    /// A budget that is found at run time must not be.
    fn most_budget(&self) -> u64 {
        100_000
    }

    fn load(&self, slot: &Slot, _: &dyn Fn(Killer)) -> Result<Box<dyn Loaded>> {
        Ok(Box::new(LoadedMates {
            speed: self.world.machine(slot.number).speed,
            mood: Random(slot.number as u64),
            longest: self.longest,
        }))
    }
}

struct LoadedMates {
    speed: f64,
    mood: Random,
    longest: u8,
}

impl Loaded for LoadedMates {
    fn start(&mut self, work: &mut Work) -> Result<()> {
        let mood = self.mood.factor(3.0);
        thread::sleep(Duration::from_secs_f64(2e-4 * mood / self.speed));
        let mut hash = Random(work.batch.len() as u64);
        let lengths = (0..work.batch.len()).map(|index| work.batch.bytes(index).unwrap()[0]);
        if lengths.max() > Some(self.longest) {
            return Err(Error::new(Status::Item, "too long"));
        }
        for index in 0..work.batch.len() {
            let bytes = work.batch.bytes(index).unwrap();
            hash.0 ^= bytes
                .iter()
                .fold(0, |sum, &byte| 31 * sum + u64::from(byte));
            let value = hash.draw().to_le_bytes();
            let row = work
                .outputs
                .alloc(index, "hash", Dtype::UInt8, Shape::new(&[8])?)?;
            // SAFETY: `alloc` gave eight bytes.
            unsafe { row.copy_from_nonoverlapping(value.as_ptr(), 8) };
        }
        Ok(())
    }

    fn collect(&mut self, _: &mut Work) -> Result<()> {
        Ok(())
    }

    fn leak(self: Box<Self>) {}
}

/// The outputs of two runs of one pool on slots of these speeds: the second knows the slots. Items longer than `longest`
/// fail, and have none.
fn outputs(speeds: &[f64], deterministic: bool, longest: u8) -> [Vec<Option<[u8; 8]>>; 2] {
    let machines = speeds.iter().map(|&speed| Machine::of_speed(speed, 0.0));
    let world = World::new(machines.collect(), Time::None);
    let tool: Arc<dyn Tool> = Arc::new(Mates {
        identity: Identity::shared("mates"),
        world: Arc::clone(&world),
        longest,
    });
    let pool = Pool::open(world.slots()).unwrap();
    let mut random = Random(7);
    let items: Vec<[u8; 3]> = (0..ITEMS)
        .map(|index| [1 + random.below(200) as u8, index as u8, (index >> 8) as u8])
        .collect();
    [(); 2].map(|()| {
        let field = Field::copied("item", items.iter().map(|item| &item[..])).unwrap();
        let options = JobOptions {
            deterministic,
            ..JobOptions::default()
        };
        let job = pool.submit(Arc::clone(&tool), Arc::new(Items::new(field)), &options);
        let job = job.unwrap();
        assert!(job.wait(None));
        let results = job.results().unwrap().unwrap();
        let output = |index| {
            let view = results.view(index, "hash").ok()?;
            // SAFETY: the tool wrote eight bytes.
            Some(unsafe { view.data.cast::<[u8; 8]>().read_unaligned() })
        };
        (0..ITEMS).map(output).collect()
    })
}

const SLOTS: [&[f64]; 6] = [
    &[1.0],
    &[1.0, 1.0],
    &[1.0, 8.0],
    &[8.0, 1.0, 3.0],
    &[1.0, 2.0, 4.0, 8.0, 1.0],
    &[5.0; 5],
];

#[test]
fn deterministic_results_are_bit_identical_on_any_slots() {
    assert_bit_identical(u8::MAX, 0);
}

/// So many fail, one after the other and alike, that the tool would be in doubt.
#[test]
fn and_so_they_are_where_the_longest_fail() {
    assert_bit_identical(170, 68);
}

fn assert_bit_identical(longest: u8, failures: usize) {
    let [expected, again] = outputs(SLOTS[0], true, longest);
    assert_eq!(expected, again);
    assert_eq!(
        expected.iter().filter(|row| row.is_none()).count(),
        failures
    );
    for speeds in SLOTS {
        for _ in 0..3 {
            for run in outputs(speeds, true, longest) {
                assert!(run == expected, "on slots of the speeds {speeds:?}");
            }
        }
    }
}

/// Else the test above would show nothing.
#[test]
fn without_it_batches_depend_on_the_slots() {
    let [alone, _] = outputs(SLOTS[0], false, u8::MAX);
    let [five, _] = outputs(SLOTS[4], false, u8::MAX);
    assert_ne!(alone, five);
}
