//! Directories as the tests make, damage and compare them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use toolpool_command::output::{Directory, Format, Run, Unwatched, ValueType};

use crate::made::{Made, fails, run};

pub const MADE: Made = Made {
    records: 400,
    window: 64,
};

pub type Files = BTreeMap<String, Vec<u8>>;

/// Every file below a directory but the lock, by name.
pub fn files(directory: &Path) -> Files {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found.remove("lock");
    found
}

pub fn names(directory: &Path) -> BTreeSet<String> {
    files(directory).into_keys().collect()
}

/// Does what is missing of a run in a directory.
pub fn go_on(directory: &Path, run: &Run) -> Vec<String> {
    let mut output = Directory::open(directory, run, false).unwrap();
    let notes = output.notes().to_vec();
    MADE.write_all(&mut output).unwrap();
    assert_eq!(
        output.duplicates(&mut Unwatched).unwrap(),
        Vec::<u64>::new()
    );
    let totals = output
        .finish(&vec![("report.json", b"{}".to_vec())], &mut Unwatched)
        .unwrap();
    assert_eq!(
        totals.failed,
        (0..MADE.records).filter(|&index| fails(index)).count() as u64
    );
    assert_eq!(totals.rows + totals.failed, MADE.records);
    notes
}

/// The files of an undisturbed run.
pub fn whole(run: &Run) -> &'static Files {
    static MADE: Mutex<Vec<(Run, &Files)>> = Mutex::new(Vec::new());
    let mut made = MADE.lock().unwrap();
    if let Some((_, files)) = made.iter().find(|(made, _)| made == run) {
        return files;
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(go_on(folder.path(), run).is_empty());
    let files: &_ = Box::leak(Box::new(files(folder.path())));
    made.push((run.clone(), files));
    files
}

/// The directory of an undisturbed run.
pub fn undisturbed(run: &Run) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("out");
    restore(&directory, whole(run));
    (folder, directory)
}

/// Puts files where a directory is to be.
pub fn restore(directory: &Path, files: &Files) {
    if directory.exists() {
        fs::remove_dir_all(directory).unwrap();
    }
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

pub fn npy() -> Run {
    Run {
        format: Format::Npy,
        values: ValueType::Float16,
        ..run()
    }
}

/// The shards of a directory, whatever they are called.
pub fn shards(directory: &Path) -> Vec<Vec<u8>> {
    let found = files(directory)
        .into_iter()
        .filter(|(name, _)| name.contains('/') && !name.contains("index.parquet"));
    found
        .filter(|(name, _)| !name.starts_with("records/"))
        .map(|(_, bytes)| bytes)
        .collect()
}

/// A file system of some size.
pub struct Disk(tempfile::TempDir);

impl Disk {
    pub fn new(kilobytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn remount(&self, option: &str) {
        let remounted = Command::new("mount")
            .args(["-o", &format!("remount,{option}")])
            .arg(self.path())
            .status();
        assert!(remounted.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
