//! The `toolpool` command: from a FASTA to embeddings on disk.

#[expect(dead_code)]
mod rows;
#[expect(dead_code)]
mod window;

fn main() {}
