//! Tables: CSV, TSV and Parquet, by the names of their columns.

use super::*;

#[test]
fn columns_are_found_by_name_or_refused_with_those_that_there_are() {
    let files = Files::new();
    let csv = |column: &str, id: &str| Options {
        format: Some(Format::Csv),
        column: Some(column.to_owned()),
        id_column: Some(id.to_owned()),
    };
    let default = Options::default();
    let path = files.with(
        "it.txt",
        "\u{feff}id,x y,sequence\r\n1,\"a c\n*\",DE\r\n2,,\r\n",
    );
    let input = Input::open(std::slice::from_ref(&path), &csv("x y", "sequence")).unwrap();
    assert_eq!(
        records(input, ALL).unwrap(),
        pairs([("DE", "AC"), ("", "")])
    );
    refused(
        &path,
        &csv("protein", "id"),
        &["`protein`", "--column", "id, x y, sequence"],
    );
    refused(&path, &csv("sequence", "ID"), &["`ID`", "--id-column"]);
    let path = files.with("a.csv", "name,residues\na,b\n");
    refused(&path, &default, &["sequence or seq", "name, residues"]);
    let path = files.with("b.csv", "id,seq,seq\na,b,c\n");
    refused(&path, &default, &["--column", "id, seq, seq"]);
    refused(
        &files.with("c.csv", "id,seq\na,b,c\n"),
        &default,
        &["line: 2"],
    );
    refused(&files.with("d.csv", ""), &default, &["no column"]);
    let whole = gzip(&b"id,seq\na,b\n".repeat(50));
    refused(
        &files.with("e.csv", &whole[..whole.len() - 9]),
        &default,
        &["it is cut off"],
    );
}

#[test]
fn columns_of_parquet_are_read_as_text_whatever_their_type() {
    let files = Files::new();
    let ids: [(ArrayRef, [&str; 3]); 3] = [
        (
            Arc::new(Int64Array::from(vec![Some(-7), None, Some(1 << 40)])),
            ["-7", "", "1099511627776"],
        ),
        (
            Arc::new(LargeStringArray::from(vec!["x", "", "z"])),
            ["x", "", "z"],
        ),
        (
            Arc::new(BinaryArray::from(vec![&b"x"[..], b"y", b"z"])),
            ["x", "y", "z"],
        ),
    ];
    for (column, [a, b, c]) in ids {
        let sequences: ArrayRef =
            Arc::new(StringArray::from(vec![Some("ac d"), None, Some("EF*")]));
        let file = parquet(vec![
            ("seq", sequences),
            ("other", Arc::clone(&column)),
            ("id", column),
        ]);
        let path = files.with("without_extension", file);
        assert_eq!(
            read(&path).unwrap(),
            pairs([(a, "ACD"), (b, ""), (c, "EF")])
        );
    }
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let path = files.with(
        "numbers",
        parquet(vec![("id", Arc::clone(&numbers)), ("sequence", numbers)]),
    );
    refused(
        &path,
        &Options::default(),
        &["`sequence`", "Int64", "--column"],
    );
}

#[test]
fn many_rows_of_parquet_are_read_in_order() {
    let files = Files::new();
    let wanted: Records = (0..5000)
        .map(|row| (row.to_string().into(), vec![b'A'; row % 7]))
        .collect();
    let ids: ArrayRef = Arc::new(
        wanted
            .iter()
            .map(|(id, _)| Some(id))
            .collect::<BinaryArray>(),
    );
    let sequences: ArrayRef = Arc::new(
        wanted
            .iter()
            .map(|(_, sequence)| Some(sequence))
            .collect::<BinaryArray>(),
    );
    let path = files.with(
        "it.parquet",
        parquet(vec![("id", ids), ("sequence", sequences)]),
    );
    let limit = Limit {
        records: 333,
        residues: 1000,
    };
    assert_eq!(records(open(&path).unwrap(), limit).unwrap(), wanted);
}

#[test]
fn parquet_that_is_damaged_is_refused_or_read_and_never_panics() {
    let files = Files::new();
    let whole = parquet(vec![
        ("id", text(["a"; 50])),
        ("sequence", text(["AC"; 50])),
    ]);
    for len in 4..whole.len() {
        refused(
            &files.with("it", &whole[..len]),
            &Options::default(),
            &["Parquet"],
        );
    }
    for index in 4..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 1 << (index % 8);
        drop(read(&files.with("it", damaged)));
    }
}
