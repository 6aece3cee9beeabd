//! The GPU's forward pass without a GPU.

use super::batch::{Batch, Request};
use super::checkpoint::Checkpoint;
use super::options::Outputs;
use super::{cpu, gpu, random};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// The queueing is CUDA's, the arithmetic is not: run on the CPU, it must agree with the CPU's own forward pass.
#[test]
fn agrees_with_the_cpu_engine() {
    let directory = tempfile::tempdir().unwrap();
    random::write(directory.path(), random::shape("tiny").unwrap(), 5).unwrap();
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let mut batch = Batch::new();
    for length in [1, 7, 30, 64] {
        let residues: Vec<u8> = (0..length)
            .map(|i| if i == 3 { 32 } else { 4 + (i * 7 % 20) as u8 })
            .collect();
        batch.push(&residues, true);
    }
    let outputs = Outputs {
        mean: true,
        bos: true,
        per_residue: true,
        logits: true,
        contacts: true,
    };
    let request = Request {
        outputs,
        layers: vec![0, 1, 3],
    };

    let weights = Arc::new(gpu::Weights::load(&checkpoint, Device::Cpu, Kind::Float).unwrap());
    let got = gpu::Worker::new(weights, (0, 0))
        .unwrap()
        .forward(&batch, &request)
        .unwrap();
    let weights = Arc::new(cpu::Weights::load(&checkpoint, Kind::Float).unwrap());
    let expected = cpu::Worker::new(weights, 1)
        .unwrap()
        .forward(&batch, &request)
        .unwrap();

    assert_eq!(got.hidden.len(), 3);
    for (got, expected) in got.hidden.iter().zip(&expected.hidden) {
        assert_eq!(got.layer, expected.layer);
        same(
            got.pooled.as_ref().unwrap(),
            expected.pooled.as_ref().unwrap(),
        );
        same(got.rows.as_ref().unwrap(), expected.rows.as_ref().unwrap());
    }
    same(
        got.logits.as_ref().unwrap(),
        expected.logits.as_ref().unwrap(),
    );
    assert_eq!(got.contacts.len(), 4);
    got.contacts
        .iter()
        .zip(&expected.contacts)
        .for_each(|(got, expected)| same(got, expected));
}

fn same(got: &Tensor, expected: &Tensor) {
    assert_eq!(got.size(), expected.size());
    let distance = (got - expected).norm().double_value(&[]);
    let norm = expected.norm().double_value(&[]);
    assert!(distance <= 1e-5 * norm, "distance {distance} of {norm}");
}
