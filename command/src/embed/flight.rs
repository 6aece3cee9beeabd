//! A window under way: its job, and the rows that come of it.

use std::collections::HashSet;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytemuck::{PodCastError, try_cast_slice};
use toolpool::error::{Error as Refusal, Status};
use toolpool::mem::{Field, Items, Results};
use toolpool::pool::{Job, JobOptions, Pool, Progress};
use toolpool::report::{Report, SlotReport};
use toolpool::tool::Tool;
use toolpool::value::Dtype;

use super::long::{self, Pieces};
use super::model::Model;
use super::reader::Task;
use crate::error::{Error, Result};
use crate::rows::{Outcome, Remark, Rows, Values};
use crate::tool::{measure, refused};
use crate::window::Window;

/// A window whose records the pool computes.
pub struct Flight {
    task: Task,
    /// What each record is in `jobs`.
    places: Vec<Place>,
    whole: Arc<Job>,
    /// Of the pieces of long sequences, where there are some.
    pieces: Option<(Arc<Job>, Vec<Range<usize>>)>,
    pub began: Instant,
}

/// Where the outputs of a record come from.
#[derive(Clone)]
enum Place {
    /// It is not computed.
    Nowhere,
    /// An item.
    Item(usize),
    /// These pieces.
    Pieces(Range<usize>),
}

impl Flight {
    /// Submits what of a window is to be computed.
    pub fn begin(task: Task, model: &Model, pool: &Pool, options: &JobOptions) -> Result<Self> {
        let long = model.long.as_ref();
        let (mut items, mut pieces) = (Vec::new(), Vec::new());
        let mut places = vec![Place::Nowhere; task.window.len()];
        for (record, place) in places.iter_mut().enumerate() {
            if task.outcomes[record] != Outcome::Done {
                continue;
            }
            let length = task.window.sequences.get(record).len();
            *place = match long.filter(|long| long.pieces.cut(length)) {
                Some(long) => Place::Pieces(add(&mut pieces, record, length, long.pieces)),
                None => Place::Item(add_whole(&mut items, record, length)),
            };
        }
        let began = Instant::now();
        let submit = |tool: &Arc<dyn Tool>, parts: &[(usize, Range<usize>)]| {
            submit(pool, tool, &task.window, parts, options)
        };
        let whole = submit(&model.tool, &items)?;
        let pieces = match long.filter(|_| !pieces.is_empty()) {
            Some(long) => {
                let job = submit(&long.tool, &pieces)?;
                Some((job, pieces.into_iter().map(|(_, range)| range).collect()))
            }
            None => None,
        };
        Ok(Self {
            task,
            places,
            whole,
            pieces,
            began,
        })
    }

    fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        [&self.whole]
            .into_iter()
            .chain(self.pieces.as_ref().map(|(job, _)| job))
    }

    /// Waits for it: whether it is over.
    #[must_use]
    pub fn wait(&self, timeout: Duration) -> bool {
        self.jobs().all(|job| job.wait(Some(timeout)))
    }

    /// Begins nothing more of it.
    pub fn cancel(&self) {
        self.jobs().for_each(|job| job.cancel());
    }

    /// How far it is, in records; those that run in pieces count when all of it is over.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.whole.progress()
    }

    /// How its jobs go.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        self.jobs().map(|job| job.report()).collect()
    }

    /// Where in the bytes of the input it is.
    #[must_use]
    pub fn bytes(&self) -> &Range<u64> {
        &self.task.bytes
    }

    /// The part of its work that is done.
    #[must_use]
    pub fn share(&self) -> f64 {
        let progress = self.jobs().map(|job| job.progress());
        let (done, all) = progress.fold((0.0, 0.0), |(done, all), job| {
            (done + job.cost_done, all + job.cost)
        });
        if all > 0.0 { done / all } else { 1.0 }
    }

    /// What its records came to. It must be over.
    ///
    /// # Errors
    /// Why a job failed as a whole, which the whole run then does.
    pub fn land(self, model: &Model, names: &[String]) -> Result<Landed> {
        // Its records were not done for a reason that is not theirs: the window is done again another time.
        if let Some(stopped) = self.jobs().find_map(|job| job.report().stopped) {
            return Err(Error::new(stopped.to_string()));
        }
        let whole = results(&self.whole)?;
        let joined = match &self.pieces {
            Some((job, ranges)) => Some((results(job)?, ranges.as_slice())),
            None => None,
        };
        let Task {
            window,
            digest,
            mut outcomes,
            ..
        } = self.task;
        let mut cells = Vec::with_capacity(window.len());
        let mut remarks = Vec::new();
        let mut failed = Failed::default();
        for (record, place) in self.places.iter().enumerate() {
            let mut remark = |text| remarks.push(Remark { record, text });
            let sequence = window.sequences.get(record);
            let length = sequence.len();
            let made = match (place, &joined) {
                (Place::Item(item), _) => {
                    if let Some(warning) = whole.warning(*item) {
                        remark(warning.to_string());
                    }
                    failed.add(&whole, *item, sequence, &*model.tool)?;
                    let cells = item_cells(&whole, *item, names);
                    cells.map_err(|reason| with_way_out(reason, &whole, *item, length))
                }
                (Place::Pieces(of), Some((results, ranges))) => {
                    remark(format!(
                        "the sequence of {length} residues ran in {} windows (--on-long window)",
                        of.len()
                    ));
                    for (piece, range) in of.clone().zip(&ranges[of.clone()]) {
                        if let Some(warning) = results.warning(piece) {
                            remark(of_piece(range, warning));
                        }
                        failed.add(results, piece, &sequence[range.clone()], &*model.tool)?;
                    }
                    let pieces = of.clone().map(|piece| (piece, ranges[piece].clone()));
                    joined_cells(results, &pieces.collect::<Vec<_>>(), length, names)
                }
                _ => Ok(Vec::new()),
            };
            cells.push(made.unwrap_or_else(|reason| {
                outcomes[record] = Outcome::Failed(reason);
                Vec::new()
            }));
        }
        let names = names.to_vec();
        let failed_residues = failed.by_slot;
        Ok(Landed {
            rows: Rows {
                window,
                digest,
                outcomes,
                remarks,
                values: Box::new(Table {
                    names,
                    cells,
                    whole,
                }),
            },
            failed_residues,
        })
    }
}

/// What a window came to.
pub struct Landed {
    pub rows: Rows,
    /// Residues by slot, as [`residues`] counts them, of what failed: it was not computed.
    pub failed_residues: Vec<u64>,
}

/// Residues that a slot did, what failed included; the extent of an item is its tokens, two more.
#[must_use]
pub fn residues(slot: &SlotReport) -> u64 {
    slot.extent.saturating_sub(2 * slot.items)
}

/// Residues of items that failed, of equal ones once, as the pool had them.
#[derive(Default)]
struct Failed<'a> {
    seen: HashSet<&'a [u8]>,
    by_slot: Vec<u64>,
}

impl<'a> Failed<'a> {
    /// Adds an item, if it failed on a slot.
    fn add(
        &mut self,
        results: &Results,
        item: usize,
        residues: &'a [u8],
        tool: &dyn Tool,
    ) -> Result<()> {
        let slot = results.slot(item).filter(|_| results.error(item).is_some());
        if let Some(slot) = slot
            && self.seen.insert(residues)
        {
            let slots = self.by_slot.len().max(slot + 1);
            self.by_slot.resize(slots, 0);
            for (_, extent) in measure(tool, [residues].into_iter())? {
                self.by_slot[slot] += extent.saturating_sub(2);
            }
        }
        Ok(())
    }
}

/// Why an item of so many residues failed; a reason of the memory says nothing to a user.
fn with_way_out(reason: String, results: &Results, item: usize, length: usize) -> String {
    match results.error(item).map(Refusal::status) {
        Some(Status::OutOfMemory) => format!(
            "{length} residues take more memory than there is ({reason}); --on-long window or truncate takes less, or \
             compute it where there is more"
        ),
        _ => reason,
    }
}

/// What is said of a piece of a sequence.
fn of_piece(range: &Range<usize>, said: impl Display) -> String {
    format!("residues {} to {}: {said}", range.start + 1, range.end)
}

/// Adds the one item of a record.
fn add_whole(items: &mut Vec<(usize, Range<usize>)>, record: usize, length: usize) -> usize {
    items.push((record, 0..length));
    items.len() - 1
}

/// Adds the pieces of a record.
fn add(
    items: &mut Vec<(usize, Range<usize>)>,
    record: usize,
    length: usize,
    pieces: Pieces,
) -> Range<usize> {
    let begin = items.len();
    items.extend(pieces.of(length).map(|range| (record, range)));
    begin..items.len()
}

/// Submits parts of the records of a window as items.
fn submit(
    pool: &Pool,
    tool: &Arc<dyn Tool>,
    window: &Window,
    parts: &[(usize, Range<usize>)],
    options: &JobOptions,
) -> Result<Arc<Job>> {
    let sequences = parts
        .iter()
        .map(|(record, range)| &window.sequences.get(*record)[range.clone()]);
    let field = Field::copied("sequence", sequences).map_err(refused)?;
    let items = Arc::new(Items::new(field));
    pool.submit(Arc::clone(tool), items, options)
        .map_err(refused)
}

fn results(job: &Job) -> Result<Results> {
    let results = job
        .results()
        .map_err(|error| Error::new(error.to_string()))?;
    results.ok_or_else(|| {
        Error::new("the results of a window were taken twice; this is an error in toolpool")
    })
}

/// The outputs of the records of a window.
struct Table {
    names: Vec<String>,
    /// For each record that has outputs, one each output.
    cells: Vec<Vec<Cell>>,
    /// Where those outputs lie that are one item's.
    whole: Results,
}

/// An output of a record.
struct Cell {
    shape: Vec<usize>,
    values: Source,
}

enum Source {
    /// An item's, where the results have it.
    Item(usize),
    /// Averaged over pieces.
    Own(Vec<f32>),
}

impl Values for Table {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn get(&self, record: usize, name: &str) -> (&[usize], &[f32]) {
        let place = self.names.iter().position(|known| known == name);
        let Some(cell) = place.and_then(|place| self.cells[record].get(place)) else {
            return (&[], &[]);
        };
        let values = match &cell.values {
            Source::Own(values) => values,
            // It was there when the cell was made.
            Source::Item(item) => {
                floats(&self.whole, *item, name).map_or(&[][..], |(_, values)| values)
            }
        };
        (&cell.shape, values)
    }
}

/// The outputs of an item, left where they lie; why there are none.
fn item_cells(results: &Results, item: usize, names: &[String]) -> Result<Vec<Cell>, String> {
    let cell = |name: &String| {
        let (shape, _) = floats(results, item, name)?;
        Ok(Cell {
            shape,
            values: Source::Item(item),
        })
    };
    names.iter().map(cell).collect()
}

/// The outputs of a sequence of `length` residues that was computed in pieces.
fn joined_cells(
    results: &Results,
    pieces: &[(usize, Range<usize>)],
    length: usize,
    names: &[String],
) -> Result<Vec<Cell>, String> {
    names
        .iter()
        .map(|name| joined_cell(results, pieces, length, name))
        .collect()
}

fn joined_cell(
    results: &Results,
    pieces: &[(usize, Range<usize>)],
    length: usize,
    name: &str,
) -> Result<Cell, String> {
    let is_mean = name == "mean" || name.starts_with("mean.");
    let of_pieces = if is_mean {
        name.replacen("mean", "per_residue", 1)
    } else {
        name.to_owned()
    };
    let mut given = Vec::with_capacity(pieces.len());
    let mut width = 0;
    for (piece, range) in pieces {
        let (shape, values) =
            floats(results, *piece, &of_pieces).map_err(|reason| of_piece(range, reason))?;
        width = shape.last().copied().unwrap_or(1);
        given.push((range.clone(), values));
    }
    let (shape, values) = if name == "bos" || name.starts_with("bos.") {
        (
            vec![width],
            long::average(given.iter().map(|(_, values)| *values), width),
        )
    } else {
        let rows = long::join(length, width, &given);
        match is_mean {
            true => (vec![width], long::average(rows.chunks_exact(width), width)),
            false => (vec![length, width], rows),
        }
    };
    Ok(Cell {
        shape,
        values: Source::Own(values),
    })
}

/// Shape and values of an output of an item; why there are none.
fn floats<'a>(
    results: &'a Results,
    item: usize,
    name: &str,
) -> Result<(Vec<usize>, &'a [f32]), String> {
    let value = results
        .value(item, name)
        .map_err(|error| error.to_string())?;
    if value.dtype != Dtype::Float32 {
        return Err(format!(
            "the output {name} is {:?}; float32 is needed",
            value.dtype
        ));
    }
    let shape = value
        .shape
        .dims()
        .iter()
        .map(|&size| size as usize)
        .collect();
    let values = try_cast_slice(value.data).map_err(|reason: PodCastError| reason.to_string())?;
    Ok((shape, values))
}
