//! Promise: this release reads the state bytes of every release, and makes the rows that those releases made of them. A
//! test fails if the layout of this release changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use rtea_core::aggregate::Partial;
use rtea_core::refused::Refused;
use rtea_core::result::{self, Submission};
use rtea_core::state::{StateError, STATE_VERSION};

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/state");
    std::fs::read(folder.join(name)).unwrap()
}

fn submission() -> Submission {
    Submission { window_ms: 60_000, generation: 7, settings: "0123456789abcdef".into(), writer: String::new() }
}

#[test]
fn every_version_is_read_and_gives_the_rows_of_its_release() {
    for version in 1..=STATE_VERSION {
        let bytes = vector(&format!("partial-v{version}.bin"));
        assert_eq!(bytes[0], version);
        let partial = Partial::from_bytes(&bytes).unwrap();
        assert_eq!(result::encode(partial, &submission(), true), vector(&format!("partial-v{version}.result.bin")));
    }
}

#[test]
fn this_release_writes_the_bytes_of_its_vector() {
    let bytes = vector(&format!("partial-v{STATE_VERSION}.bin"));
    assert_eq!(Partial::from_bytes(&bytes).unwrap().to_bytes(), bytes);
    let refused = vector("refused-v1.bin");
    assert_eq!(Refused::from_bytes(&refused).unwrap().to_bytes(), refused);
}

#[test]
fn an_older_version_is_written_in_the_newest_layout() {
    let old = Partial::from_bytes(&vector("partial-v1.bin")).unwrap();
    let newest = Partial::from_bytes(&old.to_bytes()).unwrap();
    assert_eq!(old.to_bytes()[0], STATE_VERSION);
    assert_eq!(result::encode(newest, &submission(), true), result::encode(old, &submission(), true));
}

#[test]
fn a_later_version_is_refused_with_the_remedy() {
    let refused = Partial::from_bytes(&[STATE_VERSION + 1]).unwrap_err();
    assert_eq!(refused, StateError::UnknownVersion(STATE_VERSION + 1));
    assert!(refused.to_string().contains("use the release that wrote them"));
}
