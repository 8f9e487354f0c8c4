//! How often a fault happens, and within which bounds its parameters are drawn.

use std::fmt;

use super::fault::{Direction, FAULT_MS_MAX, FaultError, GAP_US_MAX, PIECES_MAX, Side, within};

/// How often one kind of fault happens, and within which bounds its parameters are drawn.
///
/// [`parse`](Self::parse) reads it from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    pub(super) pace: Pace,
    /// Both directions where it is `None`.
    pub(super) way: Option<Direction>,
    pub(super) bounds: Bounds,
}

/// When.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// So many bytes apart on average, from 1 to twice as many less 1; or connections, for [`Kind::Refuse`].
    Every(u64),
    /// Once, there.
    At(u64),
}

/// The kinds of fault, in the order in which those at the same byte happen.
///
/// [`Flip`](Self::Flip) is last because it alone needs the byte itself and must not keep others waiting for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described at its namesake in `Fault`")]
pub enum Kind {
    Bandwidth,
    Split,
    Coalesce,
    Delay,
    Stall,
    HalfOpen,
    Rst,
    Fin,
    Close,
    Flip,
    Refuse,
}

/// Between which values the parameters of a fault are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bounds {
    Bandwidth {
        bytes_per_s: Span,
        bytes: Option<Span>,
    },
    Split {
        pieces: Span,
        piece_bytes: Span,
        gap_us: Span,
    },
    Coalesce {
        bytes: Span,
        ms: Span,
    },
    Delay {
        ms: Span,
    },
    Stall {
        ms: Span,
    },
    HalfOpen {
        ms: Span,
    },
    /// Any of the three where it is `None`.
    Rst {
        side: Option<Side>,
    },
    Fin,
    Close,
    /// Any but 0 where it is `None`.
    Flip {
        mask: Option<u8>,
    },
    Refuse {
        ms: Span,
    },
}

/// From the smallest to the largest, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Rate {
    /// Reads `WHEN[,NAME=VALUE]...`, such as `4K,ms=1..20,way=back`.
    ///
    /// WHEN is the mean distance between two in bytes (`4K`; K, M and G are 1024 each), or `@BYTE` for once on
    /// every connection and direction at that byte. For [`Kind::Refuse`] it is counted in connections. A value
    /// that is drawn may be a range, `MIN..MAX`, both included. Every kind but `refuse` takes
    /// `way=forward|back|both`; what else each takes is in [`Kind::parameters`].
    ///
    /// # Errors
    ///
    /// What cannot be read or is out of its limits, by name and value.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, RateError> {
        let mut parts = text.split(',');
        let pace = pace(kind, parts.next().unwrap_or_default())?;
        let mut given = Given::default();
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(RateError::NoValue(part.to_owned()));
            };
            if given.0.iter().any(|(known, _)| *known == name) {
                return Err(RateError::Twice(name.to_owned()));
            }
            given.0.push((name, value));
        }
        let way = match kind {
            // It concerns the whole connection.
            Kind::Refuse => None,
            _ => given.take("way"),
        };
        let way = match way {
            None | Some("both") => None,
            Some("forward") => Some(Direction::Forward),
            Some("back") => Some(Direction::Back),
            Some(other) => return Err(RateError::bad("way", other, "forward, back or both")),
        };
        let bounds = bounds(kind, &mut given)?;
        match given.0.first() {
            Some((name, _)) => Err(RateError::Unknown {
                name: (*name).to_owned(),
                kind,
            }),
            None => Ok(Self { pace, way, bounds }),
        }
    }

    /// The kind of fault.
    pub fn kind(&self) -> Kind {
        match self.bounds {
            Bounds::Bandwidth { .. } => Kind::Bandwidth,
            Bounds::Split { .. } => Kind::Split,
            Bounds::Coalesce { .. } => Kind::Coalesce,
            Bounds::Delay { .. } => Kind::Delay,
            Bounds::Stall { .. } => Kind::Stall,
            Bounds::HalfOpen { .. } => Kind::HalfOpen,
            Bounds::Rst { .. } => Kind::Rst,
            Bounds::Fin => Kind::Fin,
            Bounds::Close => Kind::Close,
            Bounds::Flip { .. } => Kind::Flip,
            Bounds::Refuse { .. } => Kind::Refuse,
        }
    }
}

impl Kind {
    /// The parameters that [`Rate::parse`] takes besides `way`, with what they are when left out.
    pub fn parameters(self) -> &'static str {
        match self {
            Self::Bandwidth => "rate=64K (bytes a second), bytes (how many; left out: to the end)",
            Self::Split => "pieces=1..8, bytes=1..16 (of each), gap_us=200",
            Self::Coalesce => "bytes=4K, ms=20",
            Self::Delay => "ms=1..20",
            Self::Stall => "ms=200..1000",
            Self::HalfOpen => "ms=1000..5000",
            Self::Rst => "side=client|server|both (left out: any)",
            Self::Fin | Self::Close => "none",
            Self::Flip => "mask=1..255 (left out: any)",
            Self::Refuse => "ms=200..1000",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bandwidth => "bandwidth",
            Self::Split => "split",
            Self::Coalesce => "coalesce",
            Self::Delay => "delay",
            Self::Stall => "stall",
            Self::HalfOpen => "half-open",
            Self::Rst => "rst",
            Self::Fin => "fin",
            Self::Close => "close",
            Self::Flip => "flip",
            Self::Refuse => "refuse",
        }
    }
}

/// Why a rate cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateError {
    /// A part without `=`.
    NoValue(String),
    /// A name that this kind does not know.
    Unknown {
        /// The name.
        name: String,
        /// The kind.
        kind: Kind,
    },
    /// A name that is given twice.
    Twice(String),
    /// A value that is not what it has to be.
    Bad {
        /// The name.
        name: &'static str,
        /// The value.
        value: String,
        /// What it has to be.
        expected: &'static str,
    },
    /// A number out of its limits.
    Limit(FaultError),
}

impl RateError {
    fn bad(name: &'static str, value: &str, expected: &'static str) -> Self {
        Self::Bad {
            name,
            value: value.to_owned(),
            expected,
        }
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(part) => write!(f, "`{part}` is not NAME=VALUE"),
            Self::Unknown { name, kind } => {
                write!(
                    f,
                    "{} takes no `{name}`; it takes: {}",
                    kind.name(),
                    kind.parameters()
                )
            }
            Self::Twice(name) => write!(f, "`{name}` is given twice"),
            Self::Bad {
                name,
                value,
                expected,
            } => write!(f, "{name} `{value}` is not {expected}"),
            Self::Limit(source) => write!(f, "{source}"),
        }
    }
}

impl std::error::Error for RateError {}

/// What was given, name and value, and has not been taken yet.
#[derive(Default)]
struct Given<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Given<'a> {
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    fn span(&mut self, name: &'static str, left_out: [u64; 2], limits: [u64; 2]) -> Result<Span, RateError> {
        let Some(text) = self.take(name) else {
            let [min, max] = left_out;
            return Ok(Span { min, max });
        };
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let (Some(min), Some(max)) = (number(min), number(max)) else {
            return Err(RateError::bad(name, text, "a number or MIN..MAX"));
        };
        if min > max {
            return Err(RateError::bad(name, text, "MIN..MAX: the first is larger"));
        }
        for end in [min, max] {
            within(name, end, limits[0], limits[1]).map_err(RateError::Limit)?;
        }
        Ok(Span { min, max })
    }

    fn ms(&mut self, left_out: [u64; 2]) -> Result<Span, RateError> {
        self.span("ms", left_out, [0, FAULT_MS_MAX])
    }
}

fn pace(kind: Kind, text: &str) -> Result<Pace, RateError> {
    let expected = match kind {
        Kind::Refuse => "CONNECTIONS or @CONNECTION, from 1",
        _ => "BYTES between two, from 1, or @BYTE",
    };
    let at = text.strip_prefix('@');
    let lowest = u64::from(at.is_none() || kind == Kind::Refuse);
    match (at, number(at.unwrap_or(text))) {
        (Some(_), Some(place)) if place >= lowest => Ok(Pace::At(place)),
        (None, Some(mean)) if mean >= lowest => Ok(Pace::Every(mean)),
        _ => Err(RateError::bad("when", text, expected)),
    }
}

fn bounds(kind: Kind, given: &mut Given<'_>) -> Result<Bounds, RateError> {
    Ok(match kind {
        Kind::Bandwidth => Bounds::Bandwidth {
            bytes_per_s: given.span("rate", [64 << 10; 2], [1, u64::MAX])?,
            bytes: match given.0.iter().any(|(name, _)| *name == "bytes") {
                true => Some(given.span("bytes", [1, 1], [1, u64::MAX])?),
                false => None,
            },
        },
        Kind::Split => Bounds::Split {
            pieces: given.span("pieces", [1, 8], [1, PIECES_MAX as u64])?,
            piece_bytes: given.span("bytes", [1, 16], [1, u32::MAX.into()])?,
            gap_us: given.span("gap_us", [200; 2], [0, GAP_US_MAX])?,
        },
        Kind::Coalesce => Bounds::Coalesce {
            bytes: given.span("bytes", [4 << 10; 2], [1, u32::MAX.into()])?,
            ms: given.ms([20; 2])?,
        },
        Kind::Delay => Bounds::Delay {
            ms: given.ms([1, 20])?,
        },
        Kind::Stall => Bounds::Stall {
            ms: given.ms([200, 1000])?,
        },
        Kind::HalfOpen => Bounds::HalfOpen {
            ms: given.ms([1000, 5000])?,
        },
        Kind::Rst => Bounds::Rst {
            side: match given.take("side") {
                None => None,
                Some("client") => Some(Side::Client),
                Some("server") => Some(Side::Server),
                Some("both") => Some(Side::Both),
                Some(other) => return Err(RateError::bad("side", other, "client, server or both")),
            },
        },
        Kind::Fin => Bounds::Fin,
        Kind::Close => Bounds::Close,
        Kind::Flip => Bounds::Flip {
            mask: match given.take("mask") {
                None => None,
                Some(text) => match text.parse() {
                    Ok(mask) if mask > 0 => Some(mask),
                    _ => return Err(RateError::bad("mask", text, "a number from 1 to 255")),
                },
            },
        },
        Kind::Refuse => Bounds::Refuse {
            ms: given.ms([200, 1000])?,
        },
    })
}

/// A number, perhaps with K, M or G behind it.
fn number(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (text.strip_suffix('K')?, 1 << 10),
        b'M' => (text.strip_suffix('M')?, 1 << 20),
        b'G' => (text.strip_suffix('G')?, 1 << 30),
        _ => (text, 1),
    };
    // `parse` would take a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_what_is_left_out_filled_in() {
        let rate = Rate::parse(Kind::Delay, "4K").unwrap();
        assert_eq!(rate.pace, Pace::Every(4096));
        assert_eq!(rate.way, None);
        assert_eq!(
            rate.bounds,
            Bounds::Delay {
                ms: Span { min: 1, max: 20 }
            }
        );
        let rate = Rate::parse(Kind::Split, "@0,way=back,bytes=3,pieces=1..2").unwrap();
        assert_eq!((rate.pace, rate.way), (Pace::At(0), Some(Direction::Back)));
        let bounds = Bounds::Split {
            pieces: Span { min: 1, max: 2 },
            piece_bytes: Span { min: 3, max: 3 },
            gap_us: Span { min: 200, max: 200 },
        };
        assert_eq!(rate.bounds, bounds);
    }

    #[test]
    fn bad_rates_are_refused_by_name_and_value() {
        let rows = [
            (Kind::Delay, "", "when `` is not BYTES"),
            (Kind::Delay, "0", "when `0` is not BYTES"),
            (Kind::Delay, "+1", "when `+1`"),
            (Kind::Delay, "@", "when `@`"),
            (Kind::Delay, "K", "when `K`"),
            (Kind::Delay, "99999999999G", "when `99999999999G`"),
            (Kind::Refuse, "@0", "when `@0` is not CONNECTIONS"),
            (Kind::Delay, "1,ms", "`ms` is not NAME=VALUE"),
            (
                Kind::Delay,
                "1,ms=5..1",
                "ms `5..1` is not MIN..MAX: the first is larger",
            ),
            (Kind::Delay, "1,ms=x", "ms `x` is not a number"),
            (
                Kind::Delay,
                "1,ms=1..3600001",
                "ms 3600001 is not within 0..3600000",
            ),
            (Kind::Delay, "1,ms=1,ms=1", "`ms` is given twice"),
            (Kind::Delay, "1,bytes=1", "delay takes no `bytes`; it takes: ms="),
            (Kind::Delay, "1,way=up", "way `up` is not forward, back or both"),
            (Kind::Refuse, "1,way=back", "refuse takes no `way`"),
            (Kind::Split, "1,pieces=1025", "pieces 1025 is not within 1..1024"),
            (Kind::Split, "1,bytes=0", "bytes 0 is not within"),
            (
                Kind::Rst,
                "1,side=left",
                "side `left` is not client, server or both",
            ),
            (Kind::Flip, "1,mask=0", "mask `0` is not a number from 1 to 255"),
            (Kind::Flip, "1,mask=256", "mask `256`"),
            (Kind::Bandwidth, "1,rate=0", "rate 0 is below 1"),
        ];
        for (kind, text, reason) in rows {
            let error = Rate::parse(kind, text).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason:?} in {error:?}");
        }
    }
}
