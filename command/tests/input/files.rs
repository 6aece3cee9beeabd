//! Files: how they are found and read, and which are refused, with what to do about it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::thread;

use super::*;

#[test]
fn files_are_read_in_the_order_in_which_they_are_named_and_those_of_a_glob_by_name() {
    let files = Files::new();
    for name in ["b2.fa", "b1.fa", "a.fasta", "brackets[1].fa"] {
        files.with(name, format!(">{name}\nAC\n"));
    }
    files.with("empty.fa", "");
    let paths = ["b?.fa", "empty.fa", "a.fasta", "brackets[1].fa"].map(|name| files.path(name));
    let input = Input::open(&paths, &Options::default()).unwrap();
    let ids: Vec<_> = records(input, ALL)
        .unwrap()
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(
        ids,
        [&b"b1.fa"[..], b"b2.fa", b"a.fasta", b"brackets[1].fa"]
    );
}

#[test]
fn progress_is_counted_in_the_bytes_of_the_files() {
    let files = Files::new();
    let text = b">a\nACDEF\n".repeat(10_000);
    let paths = [files.with("a", &text), files.with("b.gz", gzip(&text))];
    let bytes = paths
        .iter()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    let mut input = Input::open(&paths, &Options::default()).unwrap();
    assert_eq!((input.bytes_read(), input.bytes_total()), (0, Some(bytes)));
    let mut window = Window::default();
    while input.fill(&mut window, ALL).unwrap() {}
    assert_eq!(input.bytes_read(), bytes);
}

#[test]
fn a_pipe_is_read_once_and_has_no_length() {
    let files = Files::new();
    let path = files.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let writer = thread::spawn({
        let path = path.clone();
        move || fs::write(path, gzip(b">a\nAC\n>b\nDE")).unwrap()
    });
    let input = open(&path).unwrap();
    assert_eq!(input.bytes_total(), None);
    assert_eq!(
        records(input, ALL).unwrap(),
        pairs([("a", "AC"), ("b", "DE")])
    );
    writer.join().unwrap();
}

#[test]
fn paths_that_are_no_files_are_refused() {
    let files = Files::new();
    let default = Options::default();
    refused(&files.path("absent"), &default, &["No such file"]);
    refused(
        &files.path("*.fasta"),
        &default,
        &["no file is called like"],
    );
    refused(&files.path("[a"), &default, &["pattern"]);
    refused(
        &files.0.path().display().to_string(),
        &default,
        &["is a folder", "/*.fasta"],
    );
    let twice = Input::open(&["-".to_owned(), "-".to_owned()], &default);
    assert!(twice.err().unwrap().to_string().contains("twice"));
}

#[test]
fn what_is_no_fasta_is_refused_before_anything_is_read() {
    let files = Files::new();
    let good = files.with("good.fa", ">a\nAC\n");
    for (name, content, words) in [
        (
            "a.fq",
            &b"@a\nAC\n+\nII\n"[..],
            &["FASTQ", "line 1", "sed"][..],
        ),
        (
            "comments.fq",
            b"\n;c\n@a\nAC\n+\nII\n",
            &["FASTQ", "line 3"],
        ),
        (
            "plain.txt",
            b"\r\n  \n ACDEF\n",
            &["no FASTA", "line 3", "`A`"],
        ),
        (
            "image.png",
            b"\x89PNG\r\n\x1a\n",
            &["no FASTA", "line 1", "0x89"],
        ),
        ("a.bz2", b"BZh91AY&SY", &["bzip2 -dc"]),
        ("a.xz", b"\xfd7zXZ\0\0\x04", &["xz -dc"]),
        ("a.zip", b"PK\x03\x04\x14\0", &["funzip"]),
    ] {
        let bad = files.with(name, content);
        let error = Input::open(&[good.clone(), bad.clone()], &Options::default());
        let error = error.err().expect(name).to_string();
        for word in words.iter().chain([&bad.as_str()]) {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
    }
}

#[test]
fn lines_that_end_as_on_old_macs_are_refused_and_not_taken_for_one() {
    let files = Files::new();
    let path = files.with("it", ">a\nAC\r\n>b c\rDE\r>c\rFG");
    refused(
        &path,
        &Options::default(),
        &["line 3", "carriage return", "tr "],
    );
}

#[test]
fn compressed_data_that_are_cut_off_are_refused_wherever_that_is() {
    let files = Files::new();
    let text = b">a\nACDEFGHIKLMNPQRSTVWY\n>b\nYWVT\n".repeat(3);
    for packing in [Packing::Gzip(1), Packing::Bgzip(3), Packing::Zstd(1)] {
        let whole = packing.pack(&text);
        for len in 4..whole.len() {
            refused(
                &files.with("it", &whole[..len]),
                &Options::default(),
                &["it is cut off"],
            );
        }
    }
}

#[test]
fn gzip_whose_bits_changed_is_read_as_it_was_or_refused() {
    let files = Files::new();
    let text = b">a\nACDEFGHIKLMNPQRSTVWY\n>b\nYWVT\n";
    let whole = gzip(text);
    for bit in 16..whole.len() * 8 {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        if let Ok(records) = read(&files.with("it", damaged)) {
            assert_eq!(Some(records), naive(text), "bit {bit}");
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_not_taken_for_whole() {
    let files = Files::new();
    let mut text = b">a\nACDEF\n".repeat(100_000);
    let path = files.with("it", &text);
    let few = Limit {
        records: 10_000,
        residues: usize::MAX,
    };
    let mut input = open(&path).unwrap();
    let mut window = Window::default();
    assert!(input.fill(&mut window, few).unwrap());
    text.extend(b">b\nAC\n");
    files.with("it", &text);
    let error = records_left(input).unwrap_err().to_string();
    for word in [
        &path,
        "changed while it was read",
        "give the same command again",
    ] {
        assert!(error.contains(word), "no `{word}` in: {error}");
    }
}

fn records_left(mut input: Input) -> Result<usize> {
    let (mut window, mut count) = (Window::default(), 0);
    while input.fill(&mut window, ALL)? {
        count += window.len();
    }
    Ok(count)
}

#[test]
fn what_to_do_about_a_wrong_input_is_what_goes_with_how_it_comes() {
    let files = Files::new();
    let default = Options::default();
    let fastq = b"@a\nMK\n+\nII\n";
    let returns = b">a\rMK\r>b\rAC\r";
    for (name, content, command) in [
        ("it.fq", fastq.to_vec(), "2~4p' < "),
        ("it.fq.gz", gzip(fastq), "gzip -dc "),
        ("it.fq.zst", zstd(fastq), "zstd -dc "),
        ("it.fa", returns.to_vec(), "tr '\\r' '\\n' < "),
        ("it.fa.gz", gzip(returns), "gzip -dc "),
    ] {
        let path = files.with(name, content);
        refused(&path, &default, &[command, "> sequences.fasta"]);
    }
}

#[test]
fn a_path_need_not_be_utf8() {
    let files = Files::new();
    let path = files.0.path().join(OsStr::from_bytes(b"prot\xe9ines.fa"));
    fs::write(&path, ">a\nAC\n").unwrap();
    let input = Input::open(&[path], &Options::default()).unwrap();
    assert_eq!(records(input, ALL).unwrap(), pairs([("a", "AC")]));
}
