//! pcapng: sections of blocks, each section with its own byte order and interfaces.

use pcap_parser::pcapng::{
    OptionCode, PcapNGOption, parse_interfacedescriptionblock_be, parse_interfacedescriptionblock_le,
};

use super::{NANOS_PER_SECOND, Packet, RECORD_BYTES_MAX, cut_in, end_of};
use crate::capture::End;
use crate::capture::error::{BlockFault, CaptureError};
use crate::capture::event::{Stamp, Timestamp};
use crate::capture::layers::LinkType;
use crate::capture::source::Source;

const BLOCK_BYTES_MAX: u32 = 16 << 20;
/// The options of an interface are put into a list; a packet needs none of them, so that few bytes do.
const INTERFACE_BYTES_MAX: u32 = 256 << 10;
const INTERFACES_MAX: usize = 4096;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MARK: [u8; 4] = 0x1a2b_3c4d_u32.to_le_bytes();
/// Type, length, and the length again at the end.
const BLOCK_OVERHEAD: usize = 12;

/// The newer format, between two blocks.
#[derive(Default)]
pub(super) struct Sections {
    big_endian: bool,
    interfaces: Vec<Interface>,
    /// Time of the last packet that had one; simple packets have none.
    last_time: Timestamp,
}

/// A block that lies in the window as a whole.
#[derive(Clone, Copy)]
struct Block {
    kind: u32,
    length: usize,
}

impl Sections {
    #[inline]
    pub(super) fn next<'s>(&mut self, source: &'s mut Source, count: &mut u64) -> Result<Packet<'s>, End> {
        let block = loop {
            let block = self.block(source, *count + 1)?;
            match block.kind {
                ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET => break block,
                SECTION_HEADER => {
                    self.interfaces.clear();
                    source.take(block.length);
                }
                INTERFACE_DESCRIPTION => {
                    let offset = source.offset();
                    let interface = Interface::parse(source.take(block.length), self.big_endian);
                    let interface = interface.ok_or_else(|| bad_block(offset, BlockFault::Content))?;
                    if self.interfaces.len() < INTERFACES_MAX {
                        self.interfaces.push(interface);
                    }
                }
                _ => {
                    source.take(block.length);
                }
            }
        };
        *count += 1;
        let offset = source.offset();
        self.packet(block.kind, source.take(block.length), *count, offset)
    }

    /// Brings the next block into the window and checks its lengths.
    fn block(&mut self, source: &mut Source, packet: u64) -> Result<Block, End> {
        let offset = source.offset();
        if !source.ensure(BLOCK_OVERHEAD).map_err(End::Damaged)? {
            return Err(end_of(source, packet));
        }
        let Some(&[kind, length, third]) = source.bytes().first_chunk::<BLOCK_OVERHEAD>().map(words).as_ref()
        else {
            return Err(End::Truncated { packet, offset });
        };
        if kind == SECTION_HEADER.to_le_bytes() {
            self.big_endian = byte_order(third).map_err(|fault| bad_block(offset, fault))?;
        }
        let length = self.word(length);
        if !length.is_multiple_of(4) || (length as usize) < BLOCK_OVERHEAD {
            return Err(bad_block(offset, BlockFault::Length { length }));
        }
        let limit = match self.word(kind) {
            INTERFACE_DESCRIPTION => INTERFACE_BYTES_MAX,
            _ => BLOCK_BYTES_MAX,
        };
        if length > limit {
            return Err(End::Damaged(CaptureError::BlockTooLong {
                offset,
                length,
                limit,
            }));
        }
        let bytes = length as usize;
        if !source.ensure(bytes).map_err(End::Damaged)? {
            return Err(cut_in(source, packet));
        }
        let trailer = source
            .bytes()
            .get(bytes - 4..bytes)
            .and_then(|end| end.first_chunk::<4>());
        let trailer = self.word(trailer.copied().unwrap_or_default());
        if trailer != length {
            return Err(bad_block(offset, BlockFault::Trailer { length, trailer }));
        }
        Ok(Block {
            kind: self.word(kind),
            length: bytes,
        })
    }

    #[inline]
    fn packet<'s>(
        &mut self,
        kind: u32,
        block: &'s [u8],
        number: u64,
        offset: u64,
    ) -> Result<Packet<'s>, End> {
        let fields = match kind {
            SIMPLE_PACKET => self.simple(block),
            kind => self.timed(kind, block),
        };
        let fields = fields.ok_or_else(|| bad_block(offset, BlockFault::Content))?;
        let interface = self.interfaces.get(fields.interface);
        if let (Some(ticks), Some(interface)) = (fields.ticks, interface) {
            self.last_time = interface.clock.time(ticks);
        }
        if fields.captured > RECORD_BYTES_MAX {
            let (length, limit) = (fields.captured, RECORD_BYTES_MAX);
            return Err(End::Damaged(CaptureError::RecordTooLong {
                packet: number,
                offset,
                length,
                limit,
            }));
        }
        let data = block
            .get(fields.data_at..block.len() - 4)
            .and_then(|data| data.get(..fields.captured as usize));
        let Some(data) = data else {
            return Err(bad_block(offset, BlockFault::Content));
        };
        Ok(Packet {
            stamp: Stamp {
                packet: number,
                time: self.last_time,
            },
            link_type: interface.map_or(LinkType::Unsupported(LinkType::UNDESCRIBED), |interface| {
                interface.link_type
            }),
            data,
            wire_len: fields.wire_len,
        })
    }

    /// Enhanced and obsolete packet blocks: interface, time, both lengths; only the first word differs.
    #[inline]
    fn timed(&self, kind: u32, block: &[u8]) -> Option<PacketFields> {
        let [_, _, interface, high, low, captured, wire_len] = words(block.first_chunk::<28>()?);
        let interface = match (kind, self.big_endian, interface) {
            (ENHANCED_PACKET, ..) => self.word(interface),
            (_, false, [a, b, ..]) => u32::from(u16::from_le_bytes([a, b])),
            (_, true, [a, b, ..]) => u32::from(u16::from_be_bytes([a, b])),
        };
        Some(PacketFields {
            interface: usize::try_from(interface).ok()?,
            ticks: Some(u64::from(self.word(high)) << 32 | u64::from(self.word(low))),
            captured: self.word(captured),
            wire_len: self.word(wire_len),
            data_at: 28,
        })
    }

    fn simple(&self, block: &[u8]) -> Option<PacketFields> {
        let [_, _, wire_len] = words(block.first_chunk::<12>()?);
        let wire_len = self.word(wire_len);
        let room = u32::try_from(block.len().checked_sub(16)?).ok()?;
        let snapshot = self
            .interfaces
            .first()
            .map_or(0, |interface| interface.snapshot_len);
        let snapshot = if snapshot == 0 { u32::MAX } else { snapshot };
        let captured = wire_len.min(room).min(snapshot);
        Some(PacketFields {
            interface: 0,
            ticks: None,
            captured,
            wire_len,
            data_at: 12,
        })
    }

    #[inline]
    const fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }
}

struct PacketFields {
    interface: usize,
    ticks: Option<u64>,
    captured: u32,
    wire_len: u32,
    data_at: usize,
}

struct Interface {
    link_type: LinkType,
    /// 0 means no limit.
    snapshot_len: u32,
    clock: Clock,
}

impl Interface {
    fn parse(block: &[u8], big_endian: bool) -> Option<Self> {
        let parsed = if big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let (_, description) = parsed.ok()?;
        let number = u32::try_from(description.linktype.0).ok()?;
        let clock = Clock::from_options(&description.options, big_endian);
        Some(Self {
            link_type: LinkType::from_number(number),
            snapshot_len: description.snaplen,
            clock,
        })
    }
}

/// How an interface counts time: `if_tsresol` and `if_tsoffset`.
#[derive(Clone, Copy)]
struct Clock {
    ticks_per_second: u64,
    offset_seconds: i64,
}

impl Clock {
    const MICROSECONDS: Self = Self {
        ticks_per_second: 1_000_000,
        offset_seconds: 0,
    };

    fn from_options(options: &[PcapNGOption<'_>], big_endian: bool) -> Self {
        let mut clock = Self::MICROSECONDS;
        for option in options {
            match (option.code, option.value()) {
                (OptionCode::IfTsresol, &[resolution, ..]) => {
                    clock.ticks_per_second = ticks_per_second(resolution);
                }
                (OptionCode::IfTsoffset, value) => {
                    if let Some(&bytes) = value.first_chunk::<8>() {
                        let seconds = if big_endian {
                            i64::from_be_bytes(bytes)
                        } else {
                            i64::from_le_bytes(bytes)
                        };
                        clock.offset_seconds = seconds;
                    }
                }
                _ => {}
            }
        }
        clock
    }

    #[inline]
    fn time(self, ticks: u64) -> Timestamp {
        let nanos = match self.ticks_per_second {
            1_000_000 => ticks.saturating_mul(1000),
            NANOS_PER_SECOND => ticks,
            per_second => scaled(ticks, per_second),
        };
        let offset = self
            .offset_seconds
            .unsigned_abs()
            .saturating_mul(NANOS_PER_SECOND);
        Timestamp::from_nanos(if self.offset_seconds < 0 {
            nanos.saturating_sub(offset)
        } else {
            nanos.saturating_add(offset)
        })
    }
}

/// `ticks` of which `per_second` make a second, in nanoseconds.
#[cold]
fn scaled(ticks: u64, per_second: u64) -> u64 {
    let nanos = u128::from(ticks) * u128::from(NANOS_PER_SECOND) / u128::from(per_second);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// A power of 10, or of 2 if the top bit is set. What does not fit is taken for the default.
fn ticks_per_second(resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    let ticks = if resolution & 0x80 == 0 {
        10_u64.checked_pow(exponent)
    } else {
        1_u64.checked_shl(exponent)
    };
    ticks.unwrap_or(Clock::MICROSECONDS.ticks_per_second)
}

fn byte_order(mark: [u8; 4]) -> Result<bool, BlockFault> {
    let [a, b, c, d] = mark;
    match (mark == BYTE_ORDER_MARK, [d, c, b, a] == BYTE_ORDER_MARK) {
        (true, _) => Ok(false),
        (_, true) => Ok(true),
        (false, false) => Err(BlockFault::ByteOrder {
            mark: u32::from_le_bytes(mark),
        }),
    }
}

#[cold]
fn bad_block(offset: u64, fault: BlockFault) -> End {
    End::Damaged(CaptureError::BadBlock { offset, fault })
}

/// The first words of an array, in file order.
#[inline]
fn words<const BYTES: usize, const WORDS: usize>(bytes: &[u8; BYTES]) -> [[u8; 4]; WORDS] {
    const { assert!(WORDS * 4 <= BYTES) };
    let mut words = [[0; 4]; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = *chunk;
    }
    words
}
