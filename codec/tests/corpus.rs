//! Replays the fuzz corpus: every file through every property, on stable and without a fuzzer.

#![allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic is how a property reports"
)]
#![allow(unreachable_pub, reason = "the fuzz targets include the properties as well")]

mod properties;

use std::error::Error;
use std::fs;
use std::path::Path;

/// The corpus must not get lost silently.
const FILES_MIN: usize = 250;

#[test]
fn every_property_holds_for_every_file_of_the_corpus() -> Result<(), Box<dyn Error>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut files = 0;
    for target in fs::read_dir(corpus)? {
        for file in fs::read_dir(target?.path())? {
            let path = file?.path();
            let bytes = fs::read(&path)?;
            println!("{}", path.display());
            properties::decode(&bytes);
            properties::deframe(&bytes);
            properties::roundtrip(&bytes);
            files += 1;
        }
    }
    assert!(
        files >= FILES_MIN,
        "{files} files, there have been {FILES_MIN} at least"
    );
    Ok(())
}
