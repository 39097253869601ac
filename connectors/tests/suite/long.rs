//! Records that are longer than a record may be.

use std::iter::repeat_n;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use levada_connectors::source::{Budget, RAW_BYTES_MAX};

use crate::support::{Follower, Recipe, append, put, read_all};

const LIMIT: usize = 4 << 20;

fn recipe(path: &std::path::Path, format: &'static str) -> Recipe {
    let schema = Schema::new(vec![Field::new("id", DataType::Utf8View, true)]);
    Recipe::files(path, format).declared(Arc::new(schema))
}

fn line(length: usize) -> Vec<u8> {
    repeat_n(b'x', length).collect()
}

#[test]
fn a_record_of_any_length_is_one_reject_with_its_length() {
    for (format, header, before, behind) in
        [("csv", "id\n", "", ""), ("json", "", "{\"id\":\"", "\"}")]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = header.as_bytes().to_vec();
        for length in [1, 20_000_000, LIMIT - 20, 9_000_000, LIMIT + 1, 2] {
            bytes.extend(before.as_bytes());
            bytes.extend(line(length));
            bytes.extend(behind.as_bytes());
            bytes.extend(b"\r\n");
        }
        let path = put(folder.path(), "a", &bytes);
        let whole = read_all(&recipe(&path, format));
        assert_eq!(whole.rows.len(), 3, "{format}");
        assert_eq!(whole.rejects.len(), 3, "{format}");
        let reject = &whole.rejects[0];
        assert_eq!((reject.sqlstate, reject.raw.len()), ("54000", RAW_BYTES_MAX));
        assert_eq!(reject.line, 2 + u64::from(format == "csv"));
        let length = 20_000_000 + before.len() + behind.len();
        let expected = format!(
            "record is longer than {LIMIT} bytes (the first {RAW_BYTES_MAX} of {length} bytes are kept)"
        );
        assert_eq!(reject.error, expected);
        let mut cut = Follower::new(&recipe(&path, format));
        cut.poll(Budget { rows: 2, bytes: 1 << 20 });
        assert_eq!(cut.taken, whole, "{format} in small blocks");
    }
}

#[test]
fn a_long_line_waits_for_its_end_and_is_read_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = b"id\n1\n".to_vec();
    bytes.extend(line(LIMIT * 2));
    let path = put(folder.path(), "a", &bytes);
    let mut f = Follower::new(&recipe(&path, "csv"));
    f.later_us = 0;
    let all = Budget { rows: usize::MAX, bytes: 1 << 30 };
    f.poll(all);
    assert_eq!((f.taken.rows.len(), f.taken.rejects.len()), (1, 0), "it may go on");
    append(&path, "yy\n2\n");
    f.poll(all);
    assert_eq!(f.taken.rows, ["{\"id\":\"1\"}", "{\"id\":\"2\"}"]);
    assert_eq!(f.taken.rejects.len(), 1);
    append(&path, line(LIMIT * 2));
    f.poll(all);
    f.later_us = 2_000_000;
    f.poll(all);
    assert_eq!(f.taken.rejects.len(), 2, "nobody writes any more");
    append(&path, "\n3\n");
    f.poll(all);
    assert_eq!(f.taken.rows.len(), 3);
    assert_eq!(f.list().ready, []);
}
