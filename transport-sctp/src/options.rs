//! How sockets are set.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use dlmwire_codec::NodeId;

/// How every socket is set; the defaults notice a dead path or peer within ten seconds under traffic.
///
/// Deviation: kernels leave the timers at Linux's defaults, which take minutes; each side's timers are its own,
/// so this is invisible to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Retransmission timeouts (`SCTP_RTOINFO`).
    pub rto: Rto,
    /// From heartbeat to heartbeat on an idle path, whole milliseconds, in addition to its timeout
    /// (`spp_hbinterval`); 1 s. It is what notices a dead path or peer without traffic.
    pub heartbeat_interval: Duration,
    /// Missed answers in a row after which a path counts as down (`spp_pathmaxrxt`); 2, at least 1.
    pub path_max_retrans: u16,
    /// Missed answers in a row, all paths together, after which the link is lost (`sasoc_asocmaxrxt`); 4, at
    /// least 1. Larger than the sum over all paths, it keeps a link that has no path left.
    pub association_max_retrans: u16,
    /// INITs of one dial before it fails (`sinit_max_attempts`); 4, at least 1. Whoever dials may give up sooner.
    pub init_attempts: u16,
    /// Bytes of the receive buffer and of the send buffer; 4 MiB, as kernels ask for. Without `CAP_NET_ADMIN` the
    /// system cuts them to `net.core.rmem_max` and `wmem_max`; with buffers of the usual 208 KiB small messages
    /// overrun the receiver and wait for its timer.
    pub buffer_bytes: u32,
    /// Dials to all addresses of a node at once (`connectx`) instead of one an attempt. Kernels dial to one; no.
    pub connectx: bool,
    /// The address of a node that is sent to first, if the association has it (`SCTP_PRIMARY_ADDR`); otherwise it
    /// is the one that was dialed, or that the peer dialed from.
    pub primary: BTreeMap<NodeId, IpAddr>,
    /// The UDP port that peers take SCTP at (RFC 6951; `SCTP_REMOTE_UDP_ENCAPS_PORT`, Linux 5.11); none: plain
    /// SCTP. The sysctls `net.sctp.udp_port` and `net.sctp.encap_port` of both hosts belong to it.
    pub udp_encapsulation_port: Option<u16>,
    /// The mark of every packet (`SO_MARK`; dlm.conf's `mark`); needs `CAP_NET_ADMIN`. None.
    pub mark: Option<u32>,
    /// Strangers that are turned away in one call of accept, so that a storm of them does not hold up everything
    /// else; 64, at least 1.
    pub strangers_max: usize,
}

/// Retransmission timeouts, in whole milliseconds, at least 1, in ascending order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rto {
    /// Never shorter than this; 500 ms. A receiver may hold back its answer for 200 ms.
    pub min: Duration,
    /// Before anything was measured; 1 s.
    pub initial: Duration,
    /// Never longer than this, however often it was doubled; 2 s.
    pub max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rto: Rto::default(),
            heartbeat_interval: Duration::from_secs(1),
            path_max_retrans: 2,
            association_max_retrans: 4,
            init_attempts: 4,
            buffer_bytes: 4 << 20,
            connectx: false,
            primary: BTreeMap::new(),
            udp_encapsulation_port: None,
            mark: None,
            strangers_max: 64,
        }
    }
}

impl Default for Rto {
    fn default() -> Self {
        Self {
            min: Duration::from_millis(500),
            initial: Duration::from_secs(1),
            max: Duration::from_secs(2),
        }
    }
}

/// An option that no socket can have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OptionError {
    /// The timeouts are not in ascending order.
    RtoOrder(Rto),
    /// A time is not whole milliseconds from 1 to 2^31 - 1.
    Time {
        /// The option.
        option: &'static str,
        /// Its value.
        time: Duration,
    },
    /// A number is 0.
    Zero {
        /// The option.
        option: &'static str,
    },
}

impl Options {
    /// Whether sockets can be set so.
    ///
    /// # Errors
    ///
    /// The first option that is out of its bounds.
    pub fn check(&self) -> Result<(), OptionError> {
        let Rto { min, initial, max } = self.rto;
        for (option, time) in [
            ("rto.min", min),
            ("rto.initial", initial),
            ("rto.max", max),
            ("heartbeat_interval", self.heartbeat_interval),
        ] {
            let whole = time.subsec_nanos() % 1_000_000 == 0;
            if !whole || time.is_zero() || i32::try_from(time.as_millis()).is_err() {
                return Err(OptionError::Time { option, time });
            }
        }
        if min > initial || initial > max {
            return Err(OptionError::RtoOrder(self.rto));
        }
        for (option, zero) in [
            ("path_max_retrans", self.path_max_retrans == 0),
            ("association_max_retrans", self.association_max_retrans == 0),
            ("init_attempts", self.init_attempts == 0),
            ("buffer_bytes", self.buffer_bytes == 0),
            ("udp_encapsulation_port", self.udp_encapsulation_port == Some(0)),
            ("strangers_max", self.strangers_max == 0),
        ] {
            if zero {
                return Err(OptionError::Zero { option });
            }
        }
        Ok(())
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RtoOrder(Rto { min, initial, max }) => {
                write!(
                    f,
                    "rto min {min:?}, initial {initial:?}, max {max:?} are not in ascending order"
                )
            }
            Self::Time { option, time } => {
                write!(
                    f,
                    "{option} {time:?} is not whole milliseconds from 1 to 2147483647"
                )
            }
            Self::Zero { option } => write!(f, "{option} is 0"),
        }
    }
}

impl std::error::Error for OptionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_out_of_bounds_are_named() {
        Options::default().check().expect("the defaults are sound");
        let ms = Duration::from_millis;
        let rto = |min, initial, max| Options {
            rto: Rto {
                min: ms(min),
                initial: ms(initial),
                max: ms(max),
            },
            ..Options::default()
        };
        let sound = Options::default;
        let rows = [
            (
                rto(3, 2, 4),
                "rto min 3ms, initial 2ms, max 4ms are not in ascending order",
            ),
            (
                rto(1, 5, 4),
                "rto min 1ms, initial 5ms, max 4ms are not in ascending order",
            ),
            (
                rto(0, 2, 4),
                "rto.min 0ns is not whole milliseconds from 1 to 2147483647",
            ),
            (
                rto(1, 2, 1 << 31),
                "rto.max 2147483.648s is not whole milliseconds from 1 to 2147483647",
            ),
            (
                Options {
                    heartbeat_interval: Duration::from_micros(1500),
                    ..sound()
                },
                "heartbeat_interval 1.5ms is not whole milliseconds from 1 to 2147483647",
            ),
            (
                Options {
                    path_max_retrans: 0,
                    ..sound()
                },
                "path_max_retrans is 0",
            ),
            (
                Options {
                    udp_encapsulation_port: Some(0),
                    ..sound()
                },
                "udp_encapsulation_port is 0",
            ),
        ];
        for (options, text) in rows {
            assert_eq!(options.check().expect_err(text).to_string(), text);
        }
    }
}
