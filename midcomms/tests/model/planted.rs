//! The model itself is on trial: what is wrong on purpose has to be noticed, and by the right property.

use dlmwire_codec::Seq;

use crate::driver::Flaw;
use crate::explore::catches;
use crate::pair::talk;
use crate::world::Command::{Add, Send};
use crate::world::{ACKNOWLEDGED, Command, ONCE, REST};

/// The second node is the one that is wrong.
const SCRIPTS: [&[Command]; 2] = [&[Add, Send, Send], &[Add, Send]];

#[test]
fn message_handed_out_twice_is_noticed() {
    let scenario = talk(Seq::INITIAL, SCRIPTS, 0).flawed(Flaw::DeliversTwice);
    catches("delivers twice", ONCE, scenario);
}

#[test]
fn message_lost_without_a_lost_connection_is_noticed() {
    let scenario = talk(Seq::INITIAL, SCRIPTS, 0).flawed(Flaw::Swallows);
    catches("swallows", REST, scenario);
}

#[test]
fn acknowledgement_of_what_did_not_come_is_noticed() {
    let scenario = talk(Seq::INITIAL, SCRIPTS, 0).flawed(Flaw::AcknowledgesAhead);
    catches("acknowledges ahead", ACKNOWLEDGED, scenario);
}
