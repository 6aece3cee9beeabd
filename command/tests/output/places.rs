//! Directories that another process has, and disks that are full or cannot be written to.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use toolpool_command::error::Error;
use toolpool_command::output::{Directory, Unwatched, verify};

use crate::folders::{Disk, MADE, files, go_on, names, whole};
use crate::made::run;

#[test]
fn only_one_process_has_a_directory_and_a_killed_one_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = child("hold", folder.path(), None);
    let mut said = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while !said.contains("held") {
        said.clear();
        assert!(lines.read_line(&mut said).unwrap() > 0, "the child ended");
    }
    let refused = Directory::open(folder.path(), &run(), true)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains(&format!("process {} on ", child.id())),
        "{refused}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    go_on(folder.path(), &run());
}

#[test]
fn a_limit_of_file_sizes_stops_a_run_cleanly_and_it_goes_on_without() {
    let sizes = whole(&run());
    let largest = sizes.values().map(Vec::len).max().unwrap();
    for kilobytes in (1..largest.div_ceil(1024)).step_by(3) {
        let folder = tempfile::tempdir().unwrap();
        let ended = child("full", folder.path(), Some(kilobytes))
            .wait()
            .unwrap();
        assert!(ended.success(), "with {kilobytes} KiB");
        go_on(folder.path(), &run());
        assert_eq!(&files(folder.path()), sizes);
    }
}

#[test]
fn a_full_disk_stops_a_run_cleanly_and_it_goes_on_when_there_is_space() {
    let sizes = whole(&run());
    for kilobytes in [40, 120, 200, 280] {
        let Some(disk) = Disk::new(kilobytes) else {
            eprintln!("SKIPPED: only root can mount a small disk");
            return;
        };
        let directory = disk.path().join("out");
        run_until_full(&directory);
        disk.remount("size=16m");
        go_on(&directory, &run());
        assert_eq!(&files(&directory), sizes, "after {kilobytes} KiB");
    }
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused_at_once() {
    let Some(disk) = Disk::new(4096) else {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    };
    let directory = disk.path().join("out");
    go_on(&directory, &run());
    disk.remount("ro");
    for directory in [&directory, &disk.path().join("new")] {
        let refused = Directory::open(directory, &run(), false)
            .err()
            .unwrap()
            .to_string();
        assert!(
            refused.contains("cannot create") && refused.contains("choose another place"),
            "{refused}"
        );
    }
}

/// Writes until there is no space; what there is then, is whole windows.
fn run_until_full(directory: &Path) {
    let full = || -> Result<(), Error> {
        let mut output = Directory::open(directory, &run(), false)?;
        MADE.write_all(&mut output)?;
        output.duplicates(&mut Unwatched)?;
        output
            .finish(&vec![("report.json", b"{}".to_vec())], &mut Unwatched)
            .map(drop)
    };
    let error = full().expect_err("all of it fits");
    assert!(
        error.is_full() && error.to_string().contains("make space"),
        "{error}"
    );
    let left = if directory.exists() {
        names(directory)
    } else {
        BTreeSet::new()
    };
    assert!(left.iter().all(|name| !name.ends_with(".part")), "{left:?}");
    if left.contains("manifest.jsonl") {
        assert_eq!(verify(directory).unwrap(), Vec::<String>::new());
    }
}

const ROLE: &str = "TOOLPOOL_TEST_ROLE";
const PLACE: &str = "TOOLPOOL_TEST_PLACE";

/// This program as another process, in a role; with a limit on the size of files, which is then an error and no
/// signal.
fn child(role: &str, directory: &Path, limit: Option<usize>) -> Child {
    let shell = match limit {
        Some(kilobytes) => format!("trap '' XFSZ; ulimit -f {kilobytes}; exec \"$0\" \"$@\""),
        None => "exec \"$0\" \"$@\"".into(),
    };
    Command::new("bash")
        .args(["-c", &shell])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "places::in_a_role", "--nocapture"])
        .env(ROLE, role)
        .env(PLACE, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn in_a_role() {
    let (Ok(role), Some(directory)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else {
        return;
    };
    let directory = PathBuf::from(directory);
    if role == "full" {
        return run_until_full(&directory);
    }
    let _held = Directory::open(&directory, &run(), false).unwrap();
    println!("held");
    loop {
        std::thread::park();
    }
}
