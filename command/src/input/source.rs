//! Where bytes come from, for messages that say how to come to others.

/// A file, or standard input.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub is_stdin: bool,
    /// The command that unpacks it, where it is compressed.
    pub unpacked_by: Option<&'static str>,
}

impl Source {
    /// The commands that make it a FASTA by a filter.
    pub fn through(&self, filter: &str) -> String {
        let Self { name, .. } = self;
        match (self.is_stdin, self.unpacked_by) {
            (true, None) => format!("... | {filter} | toolpool embed -"),
            (true, Some(unpack)) => format!("... | {unpack} | {filter} | toolpool embed -"),
            (false, None) => format!("{filter} < {name} > sequences.fasta"),
            (false, Some(unpack)) => format!("{unpack} {name} | {filter} > sequences.fasta"),
        }
    }
}
