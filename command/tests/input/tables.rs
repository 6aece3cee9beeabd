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
        "\u{feff}id,x y,sequence\r\n1,\"a c *\",DE\r\n2,,\r\n",
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

#[test]
fn integers_of_every_width_are_ids() {
    let files = Files::new();
    let columns: [ArrayRef; 8] = [
        Arc::new(Int8Array::from(vec![7])),
        Arc::new(Int16Array::from(vec![7])),
        Arc::new(Int32Array::from(vec![7])),
        Arc::new(Int64Array::from(vec![7])),
        Arc::new(UInt8Array::from(vec![7])),
        Arc::new(UInt16Array::from(vec![7])),
        Arc::new(UInt32Array::from(vec![7])),
        Arc::new(UInt64Array::from(vec![7])),
    ];
    for column in columns {
        let kind = column.data_type().clone();
        let path = files.with("it", parquet(vec![("id", column), ("seq", text(["AC"]))]));
        assert_eq!(read(&path).unwrap(), pairs([("7", "AC")]), "{kind}");
    }
    let most: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let path = files.with("it", parquet(vec![("id", most), ("seq", text(["AC"]))]));
    assert_eq!(
        read(&path).unwrap(),
        pairs([("18446744073709551615", "AC")])
    );
}

#[test]
fn a_quote_that_is_not_closed_swallows_no_rows() {
    let files = Files::new();
    let default = Options::default();
    for (table, line) in [
        ("id,seq\na,\"AC\nb,DE\nc,FG\n", "line 2"),
        ("id,seq\na,AC\nb,\"DE", "line 3"),
        ("id,seq,more\na,AC,\"x\nb,DE,y\nc,FG,\"z\"\n", "line 2"),
        ("id,seq\na,AC\n\"b,DE\nc,FG\n", "line 3"),
    ] {
        refused(
            &files.with("it.csv", table),
            &default,
            &[line, "quote", "close it"],
        );
    }
    for (table, line) in [
        ("id,seq\na,\"AC\nb,DE\"\nc,FG\n", "line 2"),
        ("id,seq\na,AC\n\"b\nc\",DE\n", "line 3"),
    ] {
        refused(
            &files.with("it.csv", table),
            &default,
            &[line, "a line ends inside"],
        );
    }
    let good = "id,more,seq\na,\"two\nlines, and \"\"quotes\"\"\",AC\n\"b\",5\" long,\"DE\"\n";
    let good = read(&files.with("it.csv", good)).unwrap();
    assert_eq!(good, pairs([("a", "AC"), ("b", "DE")]));
}

#[test]
fn quotes_in_a_tsv_are_letters_and_no_residues() {
    let files = Files::new();
    let path = files.with("it.tsv", "id\tseq\n\"a\tAC\nb\"c\tDE\n\"d\"\tFG\n");
    assert_eq!(
        read(&path).unwrap(),
        pairs([("\"a", "AC"), ("b\"c", "DE"), ("\"d\"", "FG")])
    );
    let path = files.with("it.tsv", "id\tseq\na\tAC\nb\t\"DE\"\n");
    refused(&path, &Options::default(), &["line 3", "quote", "CSV"]);
}

#[test]
fn parquet_inside_of_gzip_says_what_to_do() {
    let files = Files::new();
    let whole = parquet(vec![("id", text(["a"])), ("seq", text(["AC"]))]);
    refused(
        &files.with("it.parquet.gz", gzip(&whole)),
        &Options::default(),
        &["gzip -dc", "> sequences.parquet"],
    );
}
