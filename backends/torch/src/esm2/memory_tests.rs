//! What a load says that it takes of memory, against the sizes of all tensors that the model has.

use super::checkpoint::Checkpoint;
use super::options::Options;
use super::tool::Tool;
use super::{cpu, gpu, random};
use crate::cpu::simd::SLACK;
use crate::place::Place;
use crate::tool::Tool as _;
use std::sync::Arc;
use tch::{Device, Kind};

/// How many numbers a model has, by what becomes of them.
struct Numbers {
    /// The linear layers of the encoder.
    matrices: u64,
    /// Embedding, biases and layer norms of the encoder.
    around: u64,
    /// The language-model head, with the embedding that its last layer shares.
    lm_head: u64,
    contact_head: u64,
    frequencies: u64,
}

fn numbers(shape: random::Shape) -> Numbers {
    let [n, d, heads] = [shape.layers, shape.width, shape.heads].map(|size| size as u64);
    Numbers {
        matrices: n * 12 * d * d,
        around: 33 * d + n * (9 * d + 4 * d) + 2 * d,
        lm_head: d * d + 3 * d + 33 * d + 33,
        contact_head: n * heads,
        frequencies: d / heads / 2,
    }
}

fn checkpoint(shape: random::Shape) -> (tempfile::TempDir, Checkpoint) {
    let directory = tempfile::tempdir().unwrap();
    random::write(directory.path(), shape, 3).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    (directory, checkpoint)
}

#[test]
fn a_worker_of_the_cpu_has_vectors_in_fp32_whatever_the_dtype() {
    let shape = random::shape("tiny").unwrap();
    let (_directory, checkpoint) = checkpoint(shape);
    let has = numbers(shape);
    let slack = (shape.layers * SLACK) as u64;
    let floats = 4 * (has.around + has.contact_head + has.frequencies + slack);
    for (kind, size) in [(Kind::Float, 4), (Kind::BFloat16, 2)] {
        let weights = Arc::new(cpu::Weights::load(&checkpoint, kind).unwrap());
        let worker = cpu::Worker::new(weights, 1).unwrap();
        let cast = size * (has.matrices + has.lm_head);
        assert_eq!(worker.weight_bytes(), cast + floats, "{kind:?}");
    }
}

#[test]
fn a_worker_of_a_gpu_has_all_but_the_contact_head_on_its_device() {
    let shape = random::shape("tiny").unwrap();
    let (_directory, checkpoint) = checkpoint(shape);
    let has = numbers(shape);
    for (kind, size) in [(Kind::Float, 4), (Kind::Half, 2)] {
        let weights = Arc::new(gpu::Weights::load(&checkpoint, Device::Cpu, kind).unwrap());
        let worker = gpu::Worker::new(weights, (0, 0)).unwrap();
        let cast = size * (has.matrices + has.around + has.lm_head);
        assert_eq!(
            worker.weight_bytes(),
            cast + 4 * has.frequencies,
            "{kind:?}"
        );
    }
}

#[test]
fn what_a_load_will_take_is_what_it_takes() {
    let (directory, _) = checkpoint(random::shape("8M").unwrap());
    let place = Place {
        device: Device::Cpu,
        threads: 1,
        capability: (0, 0),
    };
    let mut before = 0;
    for dtype in ["bf16", "fp32"] {
        let options = Options::parse(&[("dtype", dtype)]).unwrap();
        let tool = Tool::open(directory.path().to_str().unwrap(), options).unwrap();
        let taken = Tool::taken(&tool.load(place).unwrap());
        let estimate = tool.memory(place);
        assert!(
            taken.abs_diff(estimate) < taken / 100,
            "{estimate}, {taken}"
        );
        assert!(estimate > before * 3 / 2, "{dtype} is the longer type");
        before = estimate;
    }
}
