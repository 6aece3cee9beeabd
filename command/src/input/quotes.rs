//! Whether the quotes of a CSV are closed where RFC 4180 has them closed. The crate that reads it is not asked: a quote
//! that nobody closes swallows the rows behind it, and one that the next quoted cell closes those in between.

/// The quotes of a table, followed as its bytes go by.
pub struct Quotes {
    place: Place,
    line: u64,
    /// The line of the last quote that began a cell.
    begun: u64,
}

#[derive(Clone, Copy)]
enum Place {
    /// Before the first letter of a cell.
    Before,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell, which ends it, or is one of two that mean one.
    Behind,
}

/// A quote that was not closed, by the line in which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unclosed(pub u64);

impl Quotes {
    pub fn new() -> Self {
        Self {
            place: Place::Before,
            line: 1,
            begun: 1,
        }
    }

    /// The next bytes of the table.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<(), Unclosed> {
        for &byte in bytes {
            self.place = match (self.place, byte) {
                (Place::Quoted, b'"') => Place::Behind,
                (Place::Quoted, _) => Place::Quoted,
                (Place::Behind, b'"') => Place::Quoted,
                (_, b',' | b'\n' | b'\r') => Place::Before,
                (Place::Before, b'"') => {
                    self.begun = self.line;
                    Place::Quoted
                }
                (Place::Behind, _) => return Err(Unclosed(self.begun)),
                (Place::Before | Place::Plain, _) => Place::Plain,
            };
            self.line += u64::from(byte == b'\n');
        }
        Ok(())
    }

    /// The table is at its end.
    pub fn end(&self) -> Result<(), Unclosed> {
        match self.place {
            Place::Quoted => Err(Unclosed(self.begun)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(text: &str) -> Result<(), Unclosed> {
        let mut quotes = Quotes::new();
        for byte in text.bytes() {
            quotes.pass(&[byte])?;
        }
        quotes.end()
    }

    #[test]
    fn quotes_are_closed_at_the_end_of_their_cell() {
        for text in [
            "",
            "a,b\n",
            "\"a\",\"b\"",
            "\"a\"\"b\",c\r\n",
            "\"\"",
            "\"a\n,b\",c\n",
            "a\"b,5\" long\n",
        ] {
            assert_eq!(passed(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn one_that_is_not_is_found_with_its_line() {
        for (text, line) in [
            ("\"", 1),
            ("a\nb,\"c\nd\n", 2),
            ("a,b\nc,\"d\ne,f\ng,\"h\"\n", 2),
            ("a,b\n\"c\",d\n\"e\" f,g\n", 3),
            ("\"a\"\"", 1),
        ] {
            assert_eq!(passed(text), Err(Unclosed(line)), "{text}");
        }
    }
}
