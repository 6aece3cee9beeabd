use toolpool::error::Status;

/// What an item does to its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It has a value.
    Good,
    /// It fails by itself; its batch goes on.
    Fails,
    /// The tool writes nothing for it; its batch goes on.
    Silent,
    /// Its batch fails.
    Poisons,
    /// The tool panics.
    Panics,
    /// The process that the tool runs in dies.
    Crashes,
    /// The device is lost.
    KillsDevice,
    /// Its batch fails so many times and then no more; fewer than 64.
    Transient(u8),
    /// It fails by itself so many times and then no more; fewer than 64.
    Unlucky(u8),
    /// Its batch fails, in the very words in which those of others like it fail.
    Odd,
    /// Its batch never ends, until the test says so.
    Hangs,
}

impl Nature {
    const PLAIN: [Self; 9] = [
        Self::Good,
        Self::Fails,
        Self::Silent,
        Self::Poisons,
        Self::Panics,
        Self::Crashes,
        Self::KillsDevice,
        Self::Hangs,
        Self::Odd,
    ];

    fn code(self) -> u8 {
        match self {
            Self::Transient(times) => TRANSIENT + times,
            Self::Unlucky(times) => UNLUCKY + times,
            plain => Self::PLAIN
                .iter()
                .position(|&nature| nature == plain)
                .unwrap() as u8,
        }
    }

    fn of_code(code: u8) -> Self {
        match code {
            UNLUCKY.. => Self::Unlucky(code - UNLUCKY),
            TRANSIENT.. => Self::Transient(code - TRANSIENT),
            plain => Self::PLAIN[usize::from(plain)],
        }
    }
}

const TRANSIENT: u8 = 128;
const UNLUCKY: u8 = 192;

/// An item of the simulated tool. What the pool sees is its [bytes](Item::bytes).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Item {
    /// Its name in the [`Truth`](crate::Truth), and where its value comes from.
    pub number: u64,
    /// What happens where it is.
    pub nature: Nature,
    /// Whether that happens when the batch is collected, not when it starts.
    pub late: bool,
    /// Seconds that it takes on a slot of speed 1.
    pub work: f64,
    /// The cost that the tool tells the pool.
    pub told: f64,
    /// How much of a slot's memory it takes; also its extent.
    pub size: u32,
}

impl Item {
    /// A good item of this much work, of which the pool is told the truth.
    pub fn good(number: u64, work: f64) -> Self {
        Self {
            number,
            nature: Nature::Good,
            late: false,
            work,
            told: work,
            size: 1,
        }
    }

    /// The item as the caller hands it in.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(self.number.to_le_bytes());
        bytes.extend(self.work.to_le_bytes());
        bytes.extend(self.told.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend([self.nature.code(), u8::from(self.late)]);
        bytes
    }

    const BYTES: usize = 30;

    /// The item that has these bytes; `None` if they are no item's.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let eight = |start: usize| bytes.get(start..start + 8)?.try_into().ok();
        let code = *bytes.get(28)?;
        Some(Self {
            number: u64::from_le_bytes(eight(0)?),
            work: f64::from_le_bytes(eight(8)?),
            told: f64::from_le_bytes(eight(16)?),
            size: u32::from_le_bytes(bytes[24..28].try_into().ok()?),
            nature: (code >= TRANSIENT || usize::from(code) < Nature::PLAIN.len())
                .then(|| Nature::of_code(code))?,
            late: bytes.get(29).copied()? == 1,
        })
    }

    /// What the tool computes of it: of one to five bytes, by its number.
    pub fn value(&self) -> Vec<u8> {
        let hash = crate::Random(self.number).draw().to_le_bytes();
        hash[..1 + (self.number % 5) as usize].to_vec()
    }

    /// How the batch fails that this item is in: status and message; `begun` counts the batches that it has been in. `None` where
    /// the batch goes on.
    pub(crate) fn batch_error(&self, begun: u64) -> Option<(Status, String)> {
        let (status, what) = match self.nature {
            Nature::Good | Nature::Fails | Nature::Silent | Nature::Unlucky(_) => return None,
            Nature::Odd => return Some((Status::Failed, "cannot be done by this tool".into())),
            Nature::Transient(times) if begun > u64::from(times) => return None,
            Nature::Transient(_) => (Status::Transient, "was unlucky"),
            Nature::Poisons => (Status::Item, "poisons its batch"),
            Nature::Panics => (Status::Internal, "panics"),
            Nature::Crashes => (Status::Crashed, "crashes"),
            Nature::KillsDevice => (Status::DeviceLost, "kills its device"),
            Nature::Hangs => (Status::Failed, "hung"),
        };
        Some((status, format!("item {} {what}", self.number)))
    }
}
