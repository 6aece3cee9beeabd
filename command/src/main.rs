//! The `toolpool` command: from a FASTA to embeddings on disk.

fn main() {}
