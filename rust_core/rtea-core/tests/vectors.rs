//! Promise: our sketches are byte for byte those of google/zetasketch, so BigQuery can merge them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use rtea_core::sketch::{Sketch, PRECISION, SPARSE_PRECISION};
use sha2::{Digest, Sha256};
use zetasketch::{HyperLogLogPlusPlus, ValueKind};

struct Vector {
    name: String,
    is_ours: bool,
    precisions: (i32, i32),
    values: String,
    expected: Expected,
}

#[derive(Debug, PartialEq)]
struct Expected {
    adds: i64,
    estimate: i64,
    sha256: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/hll")
}

fn rows(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn expected(columns: &[String]) -> Expected {
    Expected { adds: columns[0].parse().unwrap(), estimate: columns[4].parse().unwrap(), sha256: columns[6].clone() }
}

fn string_vectors(file: &str) -> Vec<Vector> {
    rows(file)
        .into_iter()
        .filter(|row| row[1] == "STRING" || row[1] == "BYTES")
        .map(|row| {
            let precisions = (row[2].parse().unwrap(), row[3].parse().unwrap());
            Vector {
                name: row[0].clone(),
                is_ours: precisions == (15, 20),
                precisions,
                values: row[4].clone(),
                expected: expected(&row[5..]),
            }
        })
        .collect()
}

/// Passes on the values that a specification such as `seq:user-:0:10*2` describes.
fn each_value(specification: &str, mut add: impl FnMut(&[u8])) {
    let (range, repeats) =
        specification.split_once('*').map_or((specification, 1), |(range, times)| (range, times.parse().unwrap()));
    for _ in 0..repeats {
        for part in range.split(',') {
            let pieces: Vec<&str> = part.split(':').collect();
            match pieces[..] {
                ["none"] => {}
                ["seq", prefix, first, end] => {
                    (first.parse::<u64>().unwrap()..end.parse().unwrap())
                        .for_each(|n| add(format!("{prefix}{n}").as_bytes()));
                }
                ["len", first, end] => (first.parse::<usize>().unwrap()..end.parse().unwrap()).for_each(|length| {
                    let text: Vec<u8> =
                        (0..length).map(|i| b'a' + u8::try_from((i * 7 + length) % 26).unwrap()).collect();
                    add(&text);
                }),
                ["hex", digits] => add(&unhex(digits)),
                _ => panic!("unknown specification {part}"),
            }
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn built(vector: &Vector) -> HyperLogLogPlusPlus {
    let mut sketch =
        HyperLogLogPlusPlus::new(vector.precisions.0, vector.precisions.1, ValueKind::BytesOrString).unwrap();
    each_value(&vector.values, |value| sketch.add_bytes(value).unwrap());
    sketch
}

fn described(bytes: &[u8]) -> Expected {
    let loaded = HyperLogLogPlusPlus::from_bytes(bytes).unwrap();
    Expected { adds: loaded.num_values(), estimate: loaded.cardinality(), sha256: hex_sha256(bytes) }
}

#[test]
fn fingerprints_equal_the_reference() {
    let vectors = rows("hash_vectors.tsv");
    assert_eq!(vectors.len(), 313);
    for row in vectors {
        let hash = zetasketch::hash::fingerprint2011(&unhex(&row[0]));
        assert_eq!(format!("{hash:016x}"), row[1], "input {}", row[0]);
    }
}

#[test]
fn built_sketches_equal_the_reference() {
    let mut through_our_module = 0;
    let vectors = string_vectors("build_vectors.tsv");
    assert!(vectors.len() > 80);
    for vector in vectors {
        assert_eq!(described(&built(&vector).serialize()), vector.expected, "{}", vector.name);
        if vector.is_ours {
            let mut sketch = Sketch::new();
            each_value(&vector.values, |value| sketch.add(value));
            assert_eq!(described(&sketch.to_bytes()), vector.expected, "{}", vector.name);
            assert_eq!(sketch.estimate(), vector.expected.estimate, "{}", vector.name);
            through_our_module += 1;
        }
    }
    assert!(through_our_module > 40);
}

#[test]
fn the_switch_to_dense_equals_googles_head_commit() {
    let vectors = string_vectors("threshold_vectors_google_head.tsv");
    assert_eq!(vectors.len(), 16);
    for vector in vectors {
        assert_eq!(described(&built(&vector).serialize()), vector.expected, "{}", vector.name);
    }
}

#[test]
fn merged_sketches_equal_the_reference_and_foreign_ones_are_refused() {
    let builds = string_vectors("build_vectors.tsv");
    let find = |name: &str| builds.iter().find(|vector| vector.name == name);
    let (mut merged_count, mut refused) = (0, 0);
    for row in rows("merge_vectors.tsv") {
        let inputs: Vec<_> = row[1].split(',').map(find).collect();
        let sketches: Option<Vec<Sketch>> =
            inputs.iter().map(|input| Sketch::from_bytes(&built(input.as_ref()?).serialize()).ok()).collect();
        let Some(sketches) = sketches else {
            refused += 1;
            continue;
        };
        let mut merged = sketches[0].clone();
        sketches[1..].iter().for_each(|sketch| merged.merge(sketch));
        assert_eq!(described(&merged.to_bytes()), expected(&row[2..]), "{}", row[0]);
        merged_count += 1;
    }
    assert_eq!((merged_count, refused), (17, 9));
}

#[test]
fn stored_sketches_load_and_keep_their_bytes() {
    for entry in fs::read_dir(folder().join("bin")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(Sketch::from_bytes(&bytes).unwrap().to_bytes(), bytes, "{}", path.display());
    }
}

#[test]
fn repeated_values_count_as_adds_and_give_the_references_bytes() {
    for (distinct, copies) in
        [(0, 1), (1, 3), (130, 2), (8_191, 1), (8_192, 1), (8_193, 2), (22_400, 2), (22_574, 3), (40_000, 2)]
    {
        let mut sketch = Sketch::new();
        let mut reference = HyperLogLogPlusPlus::new(PRECISION, SPARSE_PRECISION, ValueKind::BytesOrString).unwrap();
        for _ in 0..copies {
            for number in 0..distinct {
                let value = format!("visitor-{number}");
                sketch.add(value.as_bytes());
                reference.add_bytes(value.as_bytes()).unwrap();
            }
        }
        assert_eq!(described(&sketch.to_bytes()), described(&reference.serialize()), "{distinct} x {copies}");
        assert_eq!(sketch.estimate(), reference.cardinality(), "{distinct} x {copies}");
    }
}

#[test]
fn a_sketch_without_a_type_of_values_is_refused() {
    let untyped = unhex("08701002180282070e1002180f20143206948f25cafc0e");
    assert!(Sketch::from_bytes(&untyped).is_err());
}
