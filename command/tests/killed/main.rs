//! Sorts and merges that are killed at every single step.
//!
//! The step is a call that changes the directory, before which a preloaded library kills the process (die.c). These tests
//! are a program of their own: a lock outlives its directory as long as a child lies between fork and exec.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

#[allow(dead_code)] // made for those of output/
#[path = "../output/folders.rs"]
mod folders;
#[path = "../made/mod.rs"]
mod made;

use toolpool_command::output::{Directory, Part, Run, Unwatched, has_ended, merge, sort};
use toolpool_command::rows::Outcome;

use folders::{Files, files, restore};
use made::{Made, run, same_as};

const MADE: Made = Made {
    records: 90,
    window: 30,
};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const ROLE: &str = "TOOLPOOL_TEST_KILLED_ROLE";
const PLACE: &str = "TOOLPOOL_TEST_PLACE";
const STEP: &str = "TOOLPOOL_TEST_STEP";

#[test]
fn a_sort_that_is_killed_at_any_step_leaves_the_old_order_or_is_gone_on_with() {
    at_every_step("sort", |directory| {
        embed(directory, &run(), |_| None)
            .finish(&Vec::new(), &mut Unwatched)
            .map(drop)
            .unwrap()
    });
}

#[test]
fn a_merge_that_is_killed_at_any_step_leaves_no_whole_or_is_gone_on_with() {
    at_every_step("merge", |directory| {
        let folder = directory.parent().unwrap();
        for (index, part) in (1..).zip(parts(folder)) {
            let elsewhere = |record| {
                let first = same_as(record).unwrap_or(record);
                (first % 2 + 1 != u64::from(index)).then_some(Outcome::Elsewhere)
            };
            let shard = Some(Part { index, count: 2 });
            embed(&part, &Run { shard, ..run() }, elsewhere)
                .finish(&Vec::new(), &mut Unwatched)
                .unwrap();
        }
    });
}

fn parts(folder: &Path) -> [PathBuf; 2] {
    ["part1", "part2"].map(|part| folder.join(part))
}

fn embed(
    directory: &Path,
    run: &Run,
    outcome: impl Fn(u64) -> Option<Outcome> + Copy,
) -> Directory {
    let mut output = Directory::open(directory, run, false).unwrap();
    for number in 0..MADE.windows() {
        if !output.finished().iter().any(|line| line.number == number) {
            output.write(&MADE.rows(number, outcome)).unwrap();
        }
    }
    assert_eq!(
        output.duplicates(&mut Unwatched).unwrap(),
        Vec::<u64>::new()
    );
    output
}

/// The command that is killed, and that is given again.
fn command(role: &str, directory: &Path) {
    match role {
        "sort" => {
            let mut output = embed(directory, &run(), |_| None);
            output.sort(&mut Unwatched).unwrap();
            output.finish(&Vec::new(), &mut Unwatched).unwrap();
        }
        _ => {
            merge(&parts(directory.parent().unwrap()), directory).unwrap()().unwrap();
            sort(directory).unwrap();
        }
    }
}

/// Kills a command before its first step, its second, and so on until it ends by itself. What says that it is whole
/// is then what was there before, or what an undisturbed command makes, and giving it again makes that.
fn at_every_step(role: &str, prepare: impl Fn(&Path)) {
    let _alone = ONE_AT_A_TIME.lock();
    let folder = tempfile::tempdir().unwrap();
    let library = preloaded(folder.path());
    let directory = folder.path().join("out");
    prepare(&directory);
    let before = if directory.exists() {
        files(&directory)
    } else {
        Files::new()
    };
    command(role, &directory);
    let mut wholes = vec![before.clone(), files(&directory)];
    if role == "merge" {
        fs::remove_dir_all(&directory).unwrap();
        merge(&parts(folder.path()), &directory).unwrap()().unwrap();
        wholes.push(files(&directory));
    }
    for step in 1.. {
        restore(&directory, &before);
        let ended = killed_at(step, role, &directory, &library);
        if has_ended(&directory).unwrap_or(false) {
            let mut found = files(&directory);
            found.retain(|name, _| !name.ends_with(".part"));
            assert!(
                wholes.contains(&found),
                "step {step}: a mixture: {:?}",
                found.keys()
            );
        }
        command(role, &directory);
        assert!(
            files(&directory) == wholes[1],
            "step {step}: another end: {:?}",
            files(&directory).keys()
        );
        if ended {
            assert!(step > 50, "{step} steps are too few to have been all");
            return;
        }
    }
}

fn preloaded(folder: &Path) -> PathBuf {
    let library = folder.join("die.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/killed/die.c");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success());
    library
}

/// Whether it came to its end.
fn killed_at(step: u32, role: &str, directory: &Path, library: &Path) -> bool {
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_a_role"])
        .env("LD_PRELOAD", library)
        .env(ROLE, role)
        .env(PLACE, directory)
        .env(STEP, step.to_string())
        .output()
        .unwrap();
    let status = ended.status;
    assert!(
        status.success() || status.signal() == Some(9),
        "{}",
        String::from_utf8_lossy(&ended.stdout)
    );
    status.success()
}

#[test]
fn in_a_role() {
    if let (Ok(role), Some(directory)) = (std::env::var(ROLE), std::env::var_os(PLACE)) {
        command(&role, Path::new(&directory));
    }
}
