use std::io::Write;

use super::files::{EXPECTED, packets};
use super::{on_ethernet, told, told_whole};
use crate::capture::testkit::PcapFile;
use crate::capture::{CaptureError, Compression, End};

#[test]
fn compressed_captures_are_recognised_by_their_content() {
    let plain = on_ethernet(&packets());
    assert_eq!(told_whole(gzip(&plain)).0, EXPECTED);
    assert_eq!(told_whole(zstd(&plain)).0, EXPECTED);
    let skippable = [
        &[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 7, 7, 7][..],
        &zstd(&plain[..50]),
        &zstd(&plain[50..]),
    ];
    assert_eq!(told_whole(skippable.concat()).0, EXPECTED);
    assert_eq!(
        told_whole([gzip(&plain[..50]), gzip(&plain[50..])].concat()).0,
        EXPECTED
    );
}

#[test]
fn compressed_file_cut_short_is_truncated() {
    let mut file = PcapFile::new(1);
    for n in 0..20_000_u32 {
        file.packet(&n.wrapping_mul(0x9e37_79b1).to_le_bytes().repeat(10));
    }
    for (compressed, compression) in [
        (gzip(&file.bytes), Compression::Gzip),
        (zstd(&file.bytes), Compression::Zstd),
    ] {
        let half = compressed[..compressed.len() / 2].to_vec();
        let summary = told(half).1.expect("its beginning is there");
        assert!(
            matches!(summary.end, End::Damaged(CaptureError::CompressedCut { .. })),
            "{compression}: {:?}",
            summary.end
        );
        let mut damaged = compressed.clone();
        for byte in &mut damaged[compressed.len() / 2..] {
            *byte ^= 0xa5;
        }
        let summary = told(damaged).1.expect("its beginning is there");
        match summary.end {
            End::Damaged(CaptureError::Decompress { compression: of, .. }) => assert_eq!(of, compression),
            End::Truncated { .. } | End::Damaged(_) => {}
            End::Complete => panic!("{compression} damage went unnoticed"),
        }
    }
}

/// What is read of a compressed file of which only so many bytes are there: packets, and why no more.
fn cut_at(compressed: &[u8], cut: usize) -> (u64, CaptureError) {
    match told(compressed[..cut].to_vec()).1 {
        Err(error) => (0, error),
        Ok(summary) => match summary.end {
            End::Damaged(error) => (summary.stats.packets, error),
            other => panic!("cut at {cut}: {other:?}"),
        },
    }
}

#[test]
fn compressed_file_cut_anywhere_says_where_and_gives_what_it_holds() {
    let plain = on_ethernet(&packets());
    for (compressed, of) in [
        (gzip(&plain), Compression::Gzip),
        (zstd(&plain), Compression::Zstd),
    ] {
        let mut most = 0;
        for cut in 4..compressed.len() {
            let (packets_read, error) = cut_at(&compressed, cut);
            most = most.max(packets_read);
            match error {
                CaptureError::CompressedCut {
                    compression,
                    compressed_offset,
                    packets,
                } => assert_eq!(
                    (compression, compressed_offset, packets),
                    (of, cut as u64, packets_read)
                ),
                other => panic!("{of} cut at {cut}: {other}"),
            }
        }
        assert_eq!(most, 4, "{of}: only its trailer was cut off");
    }
}

#[test]
fn cut_zstd_gives_what_its_window_keeps_back() {
    let mut file = PcapFile::new(1);
    for n in 0..20_000_u32 {
        file.packet(&n.wrapping_mul(0x9e37_79b1).to_le_bytes().repeat(10));
    }
    let compressed = zstd(&file.bytes);
    let (packets, error) = cut_at(&compressed, compressed.len() / 2);
    assert!(packets > 5_000, "{packets} packets");
    assert_eq!(
        error.to_string(),
        format!(
            "zstd data breaks off where the file ends, at byte {}; it holds {packets} whole packets",
            compressed.len() / 2
        )
    );
}

#[test]
fn damage_of_compressed_data_has_a_reason() {
    let plain = on_ethernet(&packets());
    let mut checksum = gzip(&plain);
    let at = checksum.len() - 8;
    checksum[at] ^= 1;
    let summary = told(checksum.clone()).1.expect("its packets are there");
    assert_eq!(summary.stats.packets, 4);
    let End::Damaged(error) = summary.end else {
        panic!("its checksum is wrong");
    };
    assert_eq!(
        error.to_string(),
        format!(
            "gzip data is damaged at or before byte {} of the file, behind byte {} of what it holds: corrupt \
             gzip stream does not have a matching checksum",
            checksum.len(),
            plain.len()
        )
    );
    let mut block = zstd(&plain);
    block[6..].fill(0xff);
    let error = told(block).1.expect_err("its first block is damaged").to_string();
    assert!(error.starts_with("zstd data is damaged"), "{error}");
    assert!(!error.ends_with(": "), "{error}");
}

#[test]
fn zeros_behind_gzip_are_padding_and_other_bytes_are_damage() {
    let plain = on_ethernet(&packets());
    assert_eq!(told_whole([gzip(&plain), vec![0; 1000]].concat()).0, EXPECTED);
    let garbage = told([gzip(&plain), vec![7; 30]].concat()).1.expect("a capture");
    assert_eq!(garbage.stats.packets, 4);
    assert!(matches!(
        garbage.end,
        End::Damaged(CaptureError::Decompress { .. })
    ));
}

#[test]
fn few_bytes_of_gzip_are_not_an_empty_capture() {
    for bytes in [&[0x1f, 0x8b][..], &[0x1f, 0x8b, 8], &[0x1f, 0x8b, 8, 0, 0, 0, 0]] {
        let error = told(bytes.to_vec()).1.expect_err("no capture").to_string();
        assert!(
            error.starts_with("gzip data breaks off where the file ends"),
            "{error}"
        );
    }
    let error = told([&[0x1f, 0x8b][..], &[9; 30]].concat())
        .1
        .expect_err("no capture")
        .to_string();
    assert!(error.starts_with("gzip data is damaged"), "{error}");
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
