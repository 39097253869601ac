//! The file sink: each epoch once, whatever a crash leaves.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::error::ArrowError;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use levada_connectors::error::{Error, Kind};
use levada_connectors::registry::{SinkRequest, sink};
use levada_connectors::sink::{Delivery, Sink, Writer};
use levada_storage::epoch::Epoch;

use crate::support::{Recipe, pairs, read_all};

fn batch(ids: &[i64]) -> RecordBatch {
    let text: StringViewArray = ids.iter().map(|id| Some(format!("row {id}"))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    RecordBatch::try_from_iter([("id", ids), ("text", Arc::new(text) as ArrayRef)]).unwrap()
}

fn open(folder: &Path, format: &str) -> Box<dyn Sink> {
    let mut sink = open_as(folder, format, writer("a", None), &[]);
    block_on(sink.resume()).unwrap();
    sink
}

fn writer(id: &str, displaces: Option<&str>) -> Writer {
    Writer {
        id: id.to_owned(),
        name: format!("sink {id}"),
        displaces: displaces.map(str::to_owned),
    }
}

fn open_as(folder: &Path, format: &str, writer: Writer, options: &[(&str, &str)]) -> Box<dyn Sink> {
    let options = pairs(options);
    let arguments = [format!("file://{}", folder.display())];
    sink(&SinkRequest {
        connector: "FILES",
        arguments: &arguments,
        options: &options,
        format,
        format_options: &[],
        schema: batch(&[]).schema(),
        writer,
    })
    .unwrap()
}

fn replace(sink: &mut dyn Sink, epoch: u64, parts: &[&[i64]]) {
    let rows: Vec<_> = parts.iter().map(|ids| Ok(batch(ids))).collect();
    block_on(sink.replace(Epoch(epoch), stream::iter(rows).boxed())).unwrap();
}

fn append<const N: usize>(
    sink: &mut dyn Sink,
    epoch: u64,
    batches: [RecordBatch; N],
) -> Result<(), Error> {
    block_on(sink.append(Epoch(epoch), stream::iter(batches.map(Ok)).boxed()))
}

/// The ids that a reader of `*.<format>` sees.
fn seen(folder: &Path, format: &'static str) -> Vec<i64> {
    let recipe = Recipe::files(&folder.join(format!("*.{format}")), format);
    let rows = read_all(&recipe).rows.into_iter().map(|row| {
        let row: serde_json::Value = serde_json::from_str(&row).unwrap();
        assert_eq!(row["text"], format!("row {}", row["id"]));
        row["id"].as_i64().unwrap()
    });
    rows.collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn appended_epochs_are_there_once() {
    for format in ["parquet", "csv", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/out");
        let mut s = open(&folder, format);
        assert_eq!(s.delivery(), Delivery::ExactlyOnce);
        assert_eq!(block_on(s.resume()).unwrap(), None);
        append(s.as_mut(), 3, [batch(&[1, 2]), batch(&[3])]).unwrap();
        append(s.as_mut(), 4, [batch(&[])]).unwrap();
        append(s.as_mut(), 7, [batch(&[4])]).unwrap();
        append(s.as_mut(), 7, [batch(&[4])]).unwrap();
        assert_eq!(seen(&folder, format), [1, 2, 3, 4], "{format}");
        assert_eq!(block_on(open(&folder, format).resume()).unwrap(), Some(Epoch(7)));
        let part = format!("part-{:020}-0.{format}", 3);
        assert!(names(&folder).contains(&part), "{part} is one of {:?}", names(&folder));
    }
}

#[test]
fn replacing_leaves_one_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    replace(s.as_mut(), 1, &[&[1, 2], &[3]]);
    assert_eq!(seen(folder.path(), "parquet"), [1, 2, 3]);
    replace(s.as_mut(), 5, &[&[7]]);
    assert_eq!(seen(folder.path(), "parquet"), [7]);
    replace(s.as_mut(), 6, &[]);
    assert_eq!(seen(folder.path(), "parquet"), [0; 0], "an empty relation is an empty file");
    let private = [format!("{:020}.json", 6), "sink.json".to_owned()];
    assert_eq!(names(&folder.path().join("_levada")), private);
    assert_eq!(block_on(open(folder.path(), "parquet").resume()).unwrap(), Some(Epoch(6)));
}

#[test]
fn a_failing_stream_leaves_the_former_contents() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    replace(s.as_mut(), 1, &[&[1]]);
    let broken = [Ok(batch(&[2])), Err(ArrowError::ComputeError("division by zero".into()))];
    let failed = block_on(s.replace(Epoch(2), stream::iter(broken).boxed()));
    assert!(failed.is_err(), "the stream failed");
    assert_eq!(seen(folder.path(), "parquet"), [1]);
    let mut s = open(folder.path(), "parquet");
    assert_eq!(block_on(s.resume()).unwrap(), Some(Epoch(1)));
    assert!(names(folder.path()).iter().all(|n| !n.starts_with('.')), "leftovers are gone");
}

/// The files of a folder that held epoch 1 and was replaced by epoch 2, stopped after `step` of: part
/// written, manifest written, part named, old part removed, old manifest removed.
fn crashed(folder: &Path, step: usize) {
    let next = tempfile::tempdir().unwrap();
    replace(open(next.path(), "parquet").as_mut(), 2, &[&[10, 20]]);
    replace(open(folder, "parquet").as_mut(), 1, &[&[1]]);
    let part = format!("part-{:020}-0.parquet", 2);
    let manifest = format!("_levada/{:020}.json", 2);
    let temporary = folder.join(format!(".{part}.tmp"));
    fs::copy(next.path().join(&part), &temporary).unwrap();
    if step >= 1 {
        fs::copy(next.path().join(&manifest), folder.join(&manifest)).unwrap();
    }
    if step >= 2 {
        fs::rename(&temporary, folder.join(&part)).unwrap();
    }
    if step >= 3 {
        fs::remove_file(folder.join(format!("part-{:020}-0.parquet", 1))).unwrap();
    }
    if step >= 4 {
        fs::remove_file(folder.join(format!("_levada/{:020}.json", 1))).unwrap();
    }
}

#[test]
fn a_crash_at_any_step_of_replacing_is_finished_or_undone() {
    for step in 0..=4 {
        let folder = tempfile::tempdir().unwrap();
        crashed(folder.path(), step);
        let mut s = open(folder.path(), "parquet");
        let (epoch, ids): (u64, &[i64]) = if step == 0 { (1, &[1]) } else { (2, &[10, 20]) };
        assert_eq!(block_on(s.resume()).unwrap(), Some(Epoch(epoch)), "step {step}");
        assert_eq!(seen(folder.path(), "parquet"), ids, "step {step}");
        let mut expected = vec!["_levada".to_owned(), format!("part-{epoch:020}-0.parquet")];
        expected.sort();
        assert_eq!(names(folder.path()), expected, "step {step}");
        replace(s.as_mut(), 3, &[&[5]]);
        assert_eq!(seen(folder.path(), "parquet"), [5], "it goes on after step {step}");
    }
}

#[test]
fn a_half_written_append_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    append(s.as_mut(), 1, [batch(&[1])]).unwrap();
    fs::write(folder.path().join(format!(".part-{:020}-0.parquet.tmp", 2)), b"PAR1 half").unwrap();
    assert_eq!(block_on(s.resume()).unwrap(), Some(Epoch(1)));
    append(s.as_mut(), 2, [batch(&[2])]).unwrap();
    assert_eq!(seen(folder.path(), "parquet"), [1, 2]);
}

#[test]
fn files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    replace(s.as_mut(), 1, &[&[1]]);
    fs::write(folder.path().join("part-of-a-book.txt"), "mine").unwrap();
    replace(s.as_mut(), 2, &[&[2]]);
    block_on(s.resume()).unwrap();
    assert!(names(folder.path()).contains(&"part-of-a-book.txt".to_owned()), "it is not ours");
}

#[test]
fn a_damaged_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    replace(s.as_mut(), 1, &[&[1]]);
    fs::write(folder.path().join(format!("_levada/{:020}.json", 1)), "{").unwrap();
    assert_eq!(block_on(s.resume()).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn a_folder_that_an_earlier_database_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = open(folder.path(), "parquet");
    replace(old.as_mut(), 900, &[&[1, 2]]);
    let mut new = open_as(folder.path(), "parquet", writer("b", None), &[]);
    for error in [block_on(new.check(&[])).unwrap_err(), block_on(new.resume()).unwrap_err()] {
        let folder = folder.path().display();
        assert_eq!(
            error.to_string(),
            format!("folder \"{folder}\" holds the files of sink \"sink a\"")
        );
        assert_eq!(error.kind(), Kind::InUse);
        assert!(error.hint().unwrap().contains("OVERWRITE"), "the way out is told");
    }
    assert_eq!(seen(folder.path(), "parquet"), [1, 2], "nothing was touched");
}

#[test]
fn overwriting_removes_what_the_former_sink_left_and_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut old = open(folder.path(), "parquet");
    replace(old.as_mut(), 900, &[&[1, 2]]);
    append(old.as_mut(), 901, [batch(&[3])]).unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    let options = [("overwrite", "true")];
    let asked = open_as(folder.path(), "parquet", writer("b", None), &options);
    let displaced = block_on(asked.check(&[])).unwrap();
    assert_eq!(displaced.as_deref(), Some("a"));
    let mut new = open_as(folder.path(), "parquet", writer("b", Some("a")), &options);
    assert_eq!(block_on(new.resume()).unwrap(), None, "nothing of it is delivered");
    assert_eq!(names(folder.path()), ["_levada", "notes.txt"]);
    replace(new.as_mut(), 4, &[&[7]]);
    assert_eq!(seen(folder.path(), "parquet"), [7]);
    assert!(append(old.as_mut(), 902, [batch(&[4])]).is_err(), "the former one is out");
    let mut newest = open_as(folder.path(), "parquet", writer("c", Some("b")), &options);
    block_on(newest.resume()).unwrap();
    assert_eq!(block_on(new.resume()).unwrap_err().kind(), Kind::InUse, "displaced only once");
}

#[test]
fn a_sink_dropped_in_the_same_transaction_leaves_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), "parquet");
    let new = open_as(folder.path(), "parquet", writer("b", None), &[]);
    assert_eq!(block_on(new.check(&["a".to_owned()])).unwrap().as_deref(), Some("a"));
    assert!(block_on(new.check(&["x".to_owned()])).is_err(), "it is not that one's");
}

#[test]
fn files_that_no_sink_claims_are_refused_unless_they_are_parts_to_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".keep"), "").unwrap();
    fs::create_dir(folder.path().join("other")).unwrap();
    let options = [("overwrite", "true")];
    let new = |displaces| open_as(folder.path(), "parquet", writer("b", displaces), &options);
    assert_eq!(block_on(new(None).check(&[])).unwrap(), None, "it is as good as empty");
    let part = folder.path().join(format!("part-{:020}-0.parquet", 7));
    fs::write(&part, "of a database that is gone").unwrap();
    let strict = open_as(folder.path(), "parquet", writer("b", None), &[]);
    assert_eq!(block_on(strict.check(&[])).unwrap_err().kind(), Kind::InUse);
    assert_eq!(block_on(new(None).check(&[])).unwrap().as_deref(), Some(""));
    fs::write(folder.path().join("report.parquet"), "mine").unwrap();
    let error = block_on(new(None).check(&[])).unwrap_err();
    let message = format!("folder \"{}\" holds other files", folder.path().display());
    assert_eq!(error.to_string(), message);
    fs::remove_file(folder.path().join("report.parquet")).unwrap();
    assert_eq!(block_on(new(Some("")).resume()).unwrap(), None);
    assert!(!part.exists(), "it was removed");
}

#[test]
fn a_folder_removed_under_a_running_sink_is_filled_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("out");
    let mut s = open(&folder, "parquet");
    append(s.as_mut(), 1, [batch(&[1])]).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert!(append(s.as_mut(), 2, [batch(&[2])]).is_err(), "epoch 1 is missing");
    assert_eq!(block_on(s.resume()).unwrap(), None, "everything is to be written");
}

/// A part more than one part holds.
fn many() -> [RecordBatch; 3] {
    let half: Vec<i64> = (0..(1 << 19)).collect();
    [batch(&half), batch(&half), batch(&[7])]
}

#[test]
fn a_long_backlog_is_appended_in_bounded_parts_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut s = open(folder.path(), "parquet");
    append(s.as_mut(), 1, [batch(&[1])]).unwrap();
    append(s.as_mut(), 2, many()).unwrap();
    append(s.as_mut(), 2, many()).unwrap();
    append(s.as_mut(), 3, [batch(&[3])]).unwrap();
    let part = |epoch, n| format!("part-{epoch:020}-{n}.parquet");
    let expected = ["_levada".to_owned(), part(1, 0), part(2, 0), part(2, 1), part(3, 0)];
    assert_eq!(names(folder.path()), expected);
    assert_eq!(names(&folder.path().join("_levada")), ["sink.json"]);
    assert_eq!(seen(folder.path(), "parquet").len(), 1 + (1 << 20) + 1 + 1);
    assert_eq!(block_on(s.resume()).unwrap(), Some(Epoch(3)));
}

#[test]
fn an_append_of_several_parts_is_finished_or_undone_after_a_crash() {
    let next = tempfile::tempdir().unwrap();
    append(open(next.path(), "parquet").as_mut(), 2, many()).unwrap();
    let parts = [0, 1].map(|n| format!("part-{:020}-{n}.parquet", 2));
    let files = serde_json::json!(parts);
    let manifest = serde_json::json!({
        "version": 1, "epoch": 2, "appended": true, "rows": (1 << 20) + 1, "files": files,
    });
    for step in 0..=2 {
        let folder = tempfile::tempdir().unwrap();
        let mut s = open(folder.path(), "parquet");
        append(s.as_mut(), 1, [batch(&[1])]).unwrap();
        for (n, part) in parts.iter().enumerate() {
            let hidden = format!(".{part}.tmp");
            let name = if step == 2 && n == 0 { part } else { &hidden };
            fs::copy(next.path().join(part), folder.path().join(name)).unwrap();
        }
        if step > 0 {
            let path = folder.path().join(format!("_levada/{:020}.json", 2));
            fs::write(path, manifest.to_string()).unwrap();
        }
        let (epoch, rows) = if step == 0 { (1, 1) } else { (2, (1 << 20) + 2) };
        assert_eq!(block_on(s.resume()).unwrap(), Some(Epoch(epoch)), "step {step}");
        assert_eq!(seen(folder.path(), "parquet").len(), rows, "step {step}");
        assert!(names(folder.path()).iter().all(|n| !n.starts_with('.')), "step {step}");
        assert_eq!(names(&folder.path().join("_levada")), ["sink.json"], "step {step}");
    }
}
