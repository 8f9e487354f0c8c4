use super::*;

/// Every cell, for a member and for a stranger: a row per state, in the order of `Input::ALL`.
///
/// `=` stands for the row's own state.
const CELLS: &str = "
CLOSED      | add ESTABLISHED | 3.1 = | 3.2 ESTABLISHED / = | shutdown = | remove = | FIN CLOSE_WAIT +ack / LAST_ACK +ack +fin | ACK of FIN = | fence = +reset | timeout =
ESTABLISHED | add = | 3.1 = | 3.2 = | shutdown FIN_WAIT1 +fin | remove = | FIN CLOSE_WAIT +ack / LAST_ACK +ack +fin | ACK of FIN = ! | fence CLOSED +reset | timeout CLOSED +reset
FIN_WAIT1   | add ESTABLISHED +reset | 3.1 = | 3.2 = | shutdown = | remove = | FIN CLOSING +ack | ACK of FIN FIN_WAIT2 | fence CLOSED +reset | timeout CLOSED +reset
FIN_WAIT2   | add ESTABLISHED +reset | 3.1 = | 3.2 = | shutdown = | remove = | FIN CLOSED +ack +reset | ACK of FIN = ! | fence CLOSED +reset | timeout CLOSED +reset
CLOSE_WAIT  | add ESTABLISHED +reset | 3.1 = | 3.2 = | shutdown = | remove LAST_ACK +fin | FIN = ! | ACK of FIN = ! | fence CLOSED +reset | timeout CLOSED +reset
LAST_ACK    | add ESTABLISHED +reset | 3.1 = | 3.2 = | shutdown = | remove = | FIN = ! | ACK of FIN CLOSED +reset | fence CLOSED +reset | timeout CLOSED +reset
CLOSING     | add ESTABLISHED +reset | 3.1 = | 3.2 = | shutdown = | remove = | FIN = ! | ACK of FIN CLOSED +reset | fence CLOSED +reset | timeout CLOSED +reset
";

fn written(state: State, step: Step) -> String {
    let text = step.to_string();
    match text.strip_prefix(state.name()) {
        Some(rest) if step.next == state => format!("={rest}"),
        Some(_) | None => text,
    }
}

/// Proves C12.
#[test]
fn every_cell_is_as_written() {
    let rows: Vec<&str> = CELLS.trim().lines().collect();
    assert_eq!(rows.len(), State::ALL.len());
    for (state, row) in State::ALL.into_iter().zip(rows) {
        let mut cells = row.split('|').map(str::trim);
        assert_eq!(cells.next(), Some(state.name()));
        for input in Input::ALL {
            let name = input.name().trim_end_matches(" seen");
            let cell = cells.next().unwrap().strip_prefix(name).unwrap().trim();
            let (member, stranger) = cell.split_once(" / ").unwrap_or((cell, cell));
            for (membership, expected) in [(Membership::Member, member), (Membership::NotMember, stranger)] {
                let step = step(state, input, membership);
                assert_eq!(
                    written(state, step),
                    expected,
                    "{state}, {input:?}, {membership:?}"
                );
            }
        }
        assert_eq!(cells.next(), None);
    }
}

/// Entering `CLOSED` is always a full reset; there is no `TIME_WAIT`.
#[test]
fn every_way_into_closed_resets() {
    for state in State::ALL {
        for input in Input::ALL {
            for membership in Membership::ALL {
                let step = step(state, input, membership);
                if state != State::Closed && step.next == State::Closed {
                    assert!(step.reset, "{state}, {input:?}");
                }
            }
        }
    }
}

#[test]
fn violations_move_nothing_and_send_nothing() {
    for state in State::ALL {
        for input in Input::ALL {
            for membership in Membership::ALL {
                let step = step(state, input, membership);
                if step.violation.is_some() {
                    assert_eq!(
                        (step.next, step.ack, step.fin, step.reset),
                        (state, false, false, false)
                    );
                }
            }
        }
    }
}

#[test]
fn fence_leads_everywhere_to_closed() {
    for state in State::ALL {
        assert_eq!(step(state, Input::Fence, Membership::Member).next, State::Closed);
    }
}

/// Proves A8.
#[test]
fn page_in_docs_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/states.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, table_markdown()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == table_markdown(),
        "{path} is out of date: run this test with UPDATE_DOCS=1"
    );
}
