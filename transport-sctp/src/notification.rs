//! What the system says of an association in band: notifications, RFC 6458 section 6.1, out of their bytes.

use std::net::IpAddr;

use crate::layout::{address_at, field};

/// The kinds that are asked for.
pub(crate) const WANTED: [u16; 4] = [
    ASSOC_CHANGE,
    PEER_ADDR_CHANGE,
    SHUTDOWN_EVENT,
    PARTIAL_DELIVERY_EVENT,
];

const ASSOC_CHANGE: u16 = 0x8001;
const PEER_ADDR_CHANGE: u16 = 0x8002;
const SHUTDOWN_EVENT: u16 = 0x8005;
const PARTIAL_DELIVERY_EVENT: u16 = 0x8006;

/// Bytes of a notification that matter; the longest carries a copy of the ABORT, which does not.
pub(crate) const BYTES_MAX: usize = 148;

/// One notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notification {
    /// The association is up.
    Up,
    /// It is lost, with the cause that the ABORT named, 0 for none.
    Lost { cause: u16 },
    /// The peer has begun it again without ending it.
    Restarted,
    /// It has ended in order, at both sides.
    Ended,
    /// It could not be made.
    NotMade,
    /// The peer has begun to end it.
    PeerShutsDown,
    /// The rest of a message that was delivered in part never comes.
    PartLost,
    /// Something about a path.
    Path { address: IpAddr, change: i32 },
    /// Something else.
    Other,
}

impl Notification {
    /// Reads one; [`Other`](Self::Other) for what is not known, or cut.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        Self::known(bytes).unwrap_or(Self::Other)
    }

    fn known(bytes: &[u8]) -> Option<Self> {
        let half = |at| field(bytes, at).map(u16::from_ne_bytes);
        match half(0)? {
            ASSOC_CHANGE => match half(8)? {
                0 => Some(Self::Up),
                // As it stands in the ABORT: in the network's order.
                1 => Some(Self::Lost {
                    cause: u16::from_be_bytes(field(bytes, 10)?),
                }),
                2 => Some(Self::Restarted),
                3 => Some(Self::Ended),
                4 => Some(Self::NotMade),
                _ => None,
            },
            PEER_ADDR_CHANGE => Some(Self::Path {
                address: address_at(bytes, 8)?.ip(),
                change: i32::from_ne_bytes(field(bytes, 136)?),
            }),
            SHUTDOWN_EVENT => Some(Self::PeerShutsDown),
            PARTIAL_DELIVERY_EVENT => Some(Self::PartLost),
            _ => None,
        }
    }
}

/// Puts the pieces of one notification together, of whatever size they are read.
#[derive(Default, Debug)]
pub(crate) struct Assembly {
    bytes: Vec<u8>,
}

impl Assembly {
    /// Takes the next piece; what the notification says when it was the last. What is behind
    /// [`BYTES_MAX`] is dropped.
    pub(crate) fn take(&mut self, piece: &[u8], complete: bool) -> Option<Notification> {
        let room = BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&piece[..piece.len().min(room)]);
        if !complete {
            return None;
        }
        let notification = Notification::read(&self.bytes);
        self.bytes.clear();
        Some(notification)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notification(kind: u16, length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; length];
        bytes[..2].copy_from_slice(&kind.to_ne_bytes());
        for (at, value) in fields {
            bytes[*at..*at + value.len()].copy_from_slice(value);
        }
        bytes
    }

    fn association(state: u16, cause: u16) -> Vec<u8> {
        notification(
            0x8001,
            20,
            &[(8, &state.to_ne_bytes()), (10, &cause.to_be_bytes())],
        )
    }

    #[test]
    fn every_wanted_kind_is_read() {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&u16::try_from(libc::AF_INET).expect("small").to_ne_bytes());
        address[4..8].copy_from_slice(&[10, 77, 0, 2]);
        let path = notification(0x8002, 148, &[(8, &address), (136, &4_i32.to_ne_bytes())]);
        let rows = [
            (association(0, 0), Notification::Up),
            (association(1, 12), Notification::Lost { cause: 12 }),
            (association(2, 0), Notification::Restarted),
            (association(3, 0), Notification::Ended),
            (association(4, 0), Notification::NotMade),
            (association(9, 0), Notification::Other),
            (
                path,
                Notification::Path {
                    address: [10, 77, 0, 2].into(),
                    change: 4,
                },
            ),
            (notification(0x8005, 12, &[]), Notification::PeerShutsDown),
            (notification(0x8006, 24, &[]), Notification::PartLost),
            (notification(0x8007, 12, &[]), Notification::Other),
        ];
        for (bytes, expected) in rows {
            assert_eq!(Notification::read(&bytes), expected);
            for size in [1, 7, 100] {
                let mut assembly = Assembly::default();
                let pieces: Vec<_> = bytes.chunks(size).collect();
                for (at, piece) in pieces.iter().enumerate() {
                    let last = at + 1 == pieces.len();
                    let got = assembly.take(piece, last);
                    assert_eq!(got, last.then_some(expected), "piece {at} of {size} bytes");
                }
            }
        }
    }

    #[test]
    fn cut_notification_says_nothing() {
        for bytes in [association(1, 0), notification(0x8002, 148, &[])] {
            for cut in 0..8 {
                assert_eq!(Notification::read(&bytes[..cut]), Notification::Other);
            }
        }
    }

    #[test]
    fn endless_notification_is_bounded() {
        let mut assembly = Assembly::default();
        assembly.take(&association(1, 0), false);
        for _ in 0..1000 {
            assert_eq!(assembly.take(&[0; 1000], false), None);
        }
        assert!(assembly.bytes.len() <= BYTES_MAX);
        assert_eq!(assembly.take(&[], true), Some(Notification::Lost { cause: 0 }));
    }
}
