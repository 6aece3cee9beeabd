//! Values as bytes, between two processes of one build.

/// Puts values one after the other.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// What was put, in order.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts a number of 32 bits.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    /// Puts a number of 64 bits.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_ne_bytes());
    }

    /// Puts a signed number of 64 bits.
    pub fn i64(&mut self, value: i64) {
        self.u64(value.cast_unsigned());
    }

    /// Puts a size or a position.
    pub fn size(&mut self, value: usize) {
        self.u64(value as u64);
    }

    /// Puts a number as it is, also if it is none.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// Puts bytes to be taken as the rest.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Puts text with its length before it.
    pub fn text(&mut self, text: &str) {
        self.size(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// Takes values as they were put. Each call is `None` where the bytes end or mean no such value: nothing that comes from
/// another process is trusted.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the first of these bytes on.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes a number of 32 bits.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_ne_bytes(self.array()?))
    }

    /// Takes a number of 64 bits.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_ne_bytes(self.array()?))
    }

    /// Takes a signed number of 64 bits.
    pub fn i64(&mut self) -> Option<i64> {
        Some(self.u64()?.cast_signed())
    }

    /// Takes a size or a position.
    pub fn size(&mut self) -> Option<usize> {
        usize::try_from(self.u64()?).ok()
    }

    /// Takes how many values of at least `least` bytes follow: never more than the bytes that are left can hold.
    pub fn count(&mut self, least: usize) -> Option<usize> {
        let count = self.size()?;
        (count.checked_mul(least)? <= self.rest.len()).then_some(count)
    }

    /// Takes a number as it was put.
    pub fn f64(&mut self) -> Option<f64> {
        Some(f64::from_bits(self.u64()?))
    }

    /// Takes text.
    pub fn text(&mut self) -> Option<&'a str> {
        let len = self.size()?;
        std::str::from_utf8(self.split(len)?).ok()
    }

    /// What is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn split(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.split(N)?.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_order() {
        let mut writer = Writer::default();
        writer.u32(7);
        writer.i64(-2);
        writer.text("Größe");
        writer.f64(-0.5);
        let mut reader = Reader::new(writer.bytes());
        assert_eq!(
            (reader.u32(), reader.i64(), reader.text(), reader.f64()),
            (Some(7), Some(-2), Some("Größe"), Some(-0.5))
        );
        assert!(reader.rest().is_empty());
    }

    #[test]
    fn what_is_cut_short_or_senseless_is_none() {
        assert_eq!(Reader::new(&[1, 0, 0]).u32(), None);
        let mut long = Writer::default();
        long.u64(u64::MAX);
        assert_eq!(Reader::new(long.bytes()).text(), None);
        assert_eq!(Reader::new(long.bytes()).count(16), None);
        let mut no_text = Writer::default();
        no_text.size(4);
        no_text.u32(u32::MAX);
        assert_eq!(Reader::new(no_text.bytes()).text(), None);
    }
}
