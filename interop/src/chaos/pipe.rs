//! One direction of a connection: a bounded buffer, and what is done to the bytes on their way. No I/O.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::plan::Upcoming;
use super::schedule::Event;

/// One direction of a connection.
///
/// Whoever drives it fills it while [`room`](Self::room) is not 0, then asks for [`step`](Self::step)s until
/// there is nothing to do.
pub(super) struct Pipe {
    buffer: VecDeque<u8>,
    buffer_bytes_max: usize,
    /// Bytes forwarded so far: the offset of the first byte in the buffer.
    position: u64,
    upcoming: Upcoming,
    input: Input,
    output: Output,
    /// Nothing is forwarded before this.
    waits_until: Option<Instant>,
    /// Nothing is read before this.
    reads_from: Option<Instant>,
    /// Ends of the pieces that are still to be cut, and the pause behind each.
    cuts: VecDeque<u64>,
    gap: Duration,
    gather: Option<Gather>,
    cap: Option<Cap>,
    /// Changes the next byte.
    flip: u8,
}

/// What becomes of the side that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Open,
    /// It has ended cleanly.
    Ended,
    /// It was reset.
    Reset,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Open,
    /// The end was passed on.
    Ended,
    /// Away.
    Nowhere,
}

/// Bytes that are held back until there are enough.
struct Gather {
    bytes: usize,
    until: Instant,
}

/// So many bytes a second.
struct Cap {
    bytes_per_s: u64,
    /// The offset up to which it holds.
    until_byte: u64,
    /// When the next byte may go.
    ready: Instant,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The place of this event is reached: log it, do it, ask again.
    Fault(Event),
    /// Write so many bytes from [`Pipe::front`].
    Write(usize),
    /// Pass on how the input ended.
    Finish(Input),
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing before more was read.
    Idle,
}

impl Pipe {
    pub(super) fn new(buffer_bytes_max: usize, upcoming: Upcoming) -> Self {
        Self {
            buffer: VecDeque::new(),
            buffer_bytes_max,
            position: 0,
            upcoming,
            input: Input::Open,
            output: Output::Open,
            waits_until: None,
            reads_from: None,
            cuts: VecDeque::new(),
            gap: Duration::ZERO,
            gather: None,
            cap: None,
            flip: 0,
        }
    }

    /// How many bytes may be read now. What is thrown away needs no room.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        if self.input != Input::Open {
            return 0;
        }
        if self.output != Output::Open {
            return self.buffer_bytes_max;
        }
        if self.reads_from.is_some_and(|from| now < from) {
            return 0;
        }
        self.reads_from = None;
        self.buffer_bytes_max - self.buffer.len()
    }

    /// Takes what was read, and tells how much of it was thrown away.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> usize {
        if self.output != Output::Open {
            return bytes.len();
        }
        debug_assert!(self.buffer.len() + bytes.len() <= self.buffer_bytes_max);
        self.buffer.extend(bytes);
        0
    }

    /// The input has ended, one way or the other.
    pub(super) fn end(&mut self, input: Input) {
        self.input = input;
    }

    /// What is to be done next. To be asked again after each that is done.
    pub(super) fn step(&mut self, now: Instant) -> Step {
        if self.output != Output::Open {
            return Step::Idle;
        }
        if let Some(until) = self.waits_until {
            if now < until {
                return Step::Wait(until);
            }
            self.waits_until = None;
        }
        let next = self.upcoming.next_place();
        if next.is_some_and(|(at_byte, needs_byte)| {
            at_byte <= self.position && !(needs_byte && self.buffer.is_empty())
        }) && let Some(event) = self.upcoming.pop()
        {
            return Step::Fault(event);
        }
        if let Some(gather) = &self.gather {
            let enough = gather.bytes.min(self.buffer_bytes_max);
            if self.input == Input::Open && self.buffer.len() < enough && now < gather.until {
                return Step::Wait(gather.until);
            }
            self.gather = None;
        }
        if self.buffer.is_empty() {
            return match self.input {
                Input::Open => Step::Idle,
                ended => Step::Finish(ended),
            };
        }
        if let Some(cap) = &self.cap
            && now < cap.ready
        {
            return Step::Wait(cap.ready);
        }
        Step::Write(self.writable(next.map(|(at_byte, _)| at_byte)))
    }

    /// The first bytes of the buffer, changed as they have to be: what [`Step::Write`] speaks of.
    pub(super) fn front(&mut self, bytes: usize) -> &[u8] {
        if let Some(first) = self.buffer.front_mut() {
            *first ^= std::mem::take(&mut self.flip);
        }
        let all = self.buffer.make_contiguous();
        all.get(..bytes).unwrap_or(all)
    }

    /// So many bytes were written.
    pub(super) fn forwarded(&mut self, bytes: usize, now: Instant) {
        debug_assert!(bytes <= self.buffer.len());
        self.buffer.drain(..bytes);
        self.position += bytes as u64;
        if self.cuts.front() == Some(&self.position) {
            self.cuts.pop_front();
            self.waits_until = (!self.gap.is_zero()).then(|| now + self.gap);
        }
        if let Some(cap) = &mut self.cap {
            let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(cap.bytes_per_s);
            let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
            cap.ready = cap.ready.max(now) + Duration::from_nanos(nanos);
            if cap.until_byte <= self.position {
                self.cap = None;
            }
        }
    }

    /// Does what concerns this direction alone; anything else does nothing here.
    pub(super) fn apply(&mut self, fault: &Fault, now: Instant) {
        match fault {
            Fault::Bandwidth { bytes_per_s, bytes } => {
                self.cap = Some(Cap {
                    bytes_per_s: *bytes_per_s,
                    until_byte: bytes.map_or(u64::MAX, |bytes| self.position.saturating_add(bytes)),
                    ready: now,
                });
            }
            Fault::Split { pieces, gap_us } => {
                let mut end = self.position;
                let ends = pieces.iter().map(|&piece| {
                    end = end.saturating_add(piece.into());
                    end
                });
                self.cuts = ends.collect();
                self.gap = Duration::from_micros(*gap_us);
            }
            Fault::Coalesce { bytes, ms } => {
                self.gather = Some(Gather {
                    bytes: usize::try_from(*bytes).unwrap_or(usize::MAX),
                    until: now + Duration::from_millis(*ms),
                });
            }
            Fault::Delay { ms } => self.wait(now + Duration::from_millis(*ms)),
            Fault::Stall { ms } => {
                self.wait(now + Duration::from_millis(*ms));
                self.reads_from = self.waits_until;
            }
            Fault::Flip { mask } => self.flip ^= mask,
            Fault::HalfOpen { .. }
            | Fault::Rst { .. }
            | Fault::Fin {}
            | Fault::Close {}
            | Fault::Refuse { .. } => {}
        }
    }

    /// The end was passed on.
    pub(super) fn finished(&mut self) {
        self.output = Output::Ended;
    }

    /// Throws away what is there and what comes; tells how much was there.
    pub(super) fn discard(&mut self) -> usize {
        let lost = self.buffer.len();
        self.buffer = VecDeque::new();
        self.output = Output::Nowhere;
        lost
    }

    /// Whether neither a byte nor an end is to come this way any more.
    pub(super) fn is_over(&self) -> bool {
        match self.output {
            Output::Open => false,
            Output::Ended => true,
            Output::Nowhere => self.input != Input::Open,
        }
    }

    /// Whether the sender may still have something to say.
    pub(super) fn input(&self) -> Input {
        self.input
    }

    /// Bytes forwarded so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// How many bytes may go in one write: up to the next event, cut or tick of the cap.
    fn writable(&self, next_event: Option<u64>) -> usize {
        // A hundred writes a second look like a slow line and cost little.
        let tick = self.cap.as_ref().map(|cap| (cap.bytes_per_s / 100).max(1));
        let ends = [
            next_event,
            self.cuts.front().copied(),
            self.cap.as_ref().map(|cap| cap.until_byte),
        ];
        let up_to_end = ends
            .into_iter()
            .flatten()
            .map(|end| end.saturating_sub(self.position))
            // An event that is due waits for its byte, and then is no longer there.
            .filter(|&bytes| bytes > 0);
        let most = up_to_end.chain(tick).min().unwrap_or(u64::MAX);
        usize::try_from(most).unwrap_or(usize::MAX).min(self.buffer.len())
    }

    fn wait(&mut self, until: Instant) {
        self.waits_until = Some(self.waits_until.map_or(until, |before| before.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::{Direction, Schedule};

    const MS: Duration = Duration::from_millis(1);

    /// A pipe of 64 bytes to which these happen: at a byte, the fault as it stands in a schedule.
    fn pipe(faults: &[(u64, &str)]) -> Pipe {
        let lines: Vec<String> = faults
            .iter()
            .map(|(at, fault)| {
                format!(
                    r#"{{"route":1,"connection":1,"direction":"back","at_byte":{at},"fault":{{"kind":{fault}}}}}"#
                )
            })
            .collect();
        let schedule = Schedule::read(lines.join("\n").as_bytes()).unwrap();
        Pipe::new(64, Upcoming::Script(schedule.stream(1, 1, Direction::Back)))
    }

    /// Takes steps until there is nothing to do now: the writes, and what it waits for.
    fn drain(pipe: &mut Pipe, now: Instant) -> (Vec<Vec<u8>>, Step) {
        let mut writes = Vec::new();
        loop {
            match pipe.step(now) {
                Step::Write(count) => {
                    writes.push(pipe.front(count).to_vec());
                    pipe.forwarded(count, now);
                }
                Step::Fault(event) => pipe.apply(&event.fault, now),
                step => return (writes, step),
            }
        }
    }

    fn lengths(writes: &[Vec<u8>]) -> Vec<usize> {
        writes.iter().map(Vec::len).collect()
    }

    #[test]
    fn split_cuts_at_its_offsets_however_the_bytes_come() {
        for chunks in [vec![20], vec![5, 15], vec![1; 20]] {
            let mut pipe = pipe(&[(2, r#""split","pieces":[3,1,4],"gap_us":0"#)]);
            let now = Instant::now();
            let mut ends = Vec::new();
            for chunk in chunks {
                pipe.fill(&vec![7; chunk]);
                let (writes, step) = drain(&mut pipe, now);
                assert_eq!(step, Step::Idle);
                let mut at = ends.last().copied().unwrap_or(0);
                ends.extend(writes.iter().map(|bytes| {
                    at += bytes.len();
                    at
                }));
            }
            for cut in [2, 5, 6, 10, 20] {
                assert!(ends.contains(&cut), "{cut} in {ends:?}");
            }
        }
    }

    #[test]
    fn split_with_a_gap_waits_behind_each_piece() {
        let mut pipe = pipe(&[(0, r#""split","pieces":[3,1],"gap_us":1000"#)]);
        let now = Instant::now();
        pipe.fill(&[7; 10]);
        let mut seen = Vec::new();
        for ms in 0..4 {
            let (writes, step) = drain(&mut pipe, now + MS * ms);
            seen.push((lengths(&writes), step));
        }
        let expected = [
            (vec![3], Step::Wait(now + MS)),
            (vec![1], Step::Wait(now + MS * 2)),
            (vec![6], Step::Idle),
            (vec![], Step::Idle),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn coalesce_holds_until_enough_is_there_or_time_or_input_is_over() {
        let now = Instant::now();
        let held = || {
            let mut pipe = pipe(&[(0, r#""coalesce","bytes":8,"ms":5"#)]);
            pipe.fill(&[7; 3]);
            assert_eq!(drain(&mut pipe, now), (vec![], Step::Wait(now + MS * 5)));
            pipe
        };
        let mut enough = held();
        enough.fill(&[7; 6]);
        assert_eq!(lengths(&drain(&mut enough, now).0), [9]);
        let mut late = held();
        assert_eq!(lengths(&drain(&mut late, now + MS * 5).0), [3]);
        let mut ended = held();
        ended.end(Input::Ended);
        let (writes, step) = drain(&mut ended, now);
        assert_eq!((lengths(&writes), step), (vec![3], Step::Finish(Input::Ended)));
    }

    #[test]
    fn coalesce_of_more_than_the_buffer_is_content_with_a_full_one() {
        let mut pipe = pipe(&[(0, r#""coalesce","bytes":1000,"ms":5"#)]);
        let now = Instant::now();
        pipe.fill(&[7; 64]);
        assert_eq!(lengths(&drain(&mut pipe, now).0), [64]);
    }

    #[test]
    fn delay_goes_on_reading_and_stall_does_not() {
        let now = Instant::now();
        for (fault, room) in [(r#""delay","ms":5"#, 60), (r#""stall","ms":5"#, 0)] {
            let mut pipe = pipe(&[(2, fault)]);
            pipe.fill(&[7; 6]);
            let (writes, step) = drain(&mut pipe, now);
            assert_eq!(
                (lengths(&writes), step),
                (vec![2], Step::Wait(now + MS * 5)),
                "{fault}"
            );
            assert_eq!(pipe.room(now), room, "{fault}");
            assert_eq!(lengths(&drain(&mut pipe, now + MS * 5).0), [4], "{fault}");
            assert_eq!(pipe.room(now + MS * 5), 64, "{fault}");
        }
    }

    #[test]
    fn bandwidth_lets_its_bytes_go_in_no_less_than_their_time() {
        let mut pipe = pipe(&[(0, r#""bandwidth","bytes_per_s":1000,"bytes":30"#)]);
        let start = Instant::now();
        let mut now = start;
        pipe.fill(&[7; 64]);
        let mut gone = 0;
        while let (writes, Step::Wait(until)) = drain(&mut pipe, now) {
            gone += writes.concat().len();
            let allowed = (now - start).as_millis() + 10;
            assert!(gone as u128 <= allowed, "{gone} bytes after {:?}", now - start);
            now = until;
        }
        // The rest is no longer slowed down.
        assert_eq!(pipe.position(), 64);
        assert!(now - start >= MS * 20, "{:?}", now - start);
    }

    #[test]
    fn flip_changes_its_byte_alone_and_waits_for_it() {
        let mut pipe = pipe(&[(3, r#""flip","mask":255"#), (5, r#""flip","mask":1"#)]);
        let now = Instant::now();
        pipe.fill(&[0; 3]);
        assert_eq!(drain(&mut pipe, now).0.concat(), [0, 0, 0]);
        assert_eq!(pipe.step(now), Step::Idle, "the byte is not there yet");
        pipe.fill(&[0; 4]);
        assert_eq!(drain(&mut pipe, now).0.concat(), [255, 0, 1, 0]);
    }

    #[test]
    fn bytes_of_a_partial_write_are_changed_once() {
        let mut pipe = pipe(&[(0, r#""flip","mask":255"#)]);
        let now = Instant::now();
        pipe.fill(&[0; 4]);
        let Step::Fault(event) = pipe.step(now) else {
            panic!("the flip is due");
        };
        pipe.apply(&event.fault, now);
        assert_eq!(pipe.front(4), [255, 0, 0, 0]);
        assert_eq!(
            pipe.front(4),
            [255, 0, 0, 0],
            "the socket took nothing the first time"
        );
    }

    #[test]
    fn full_buffer_has_no_room_and_what_is_thrown_away_always_has() {
        let mut pipe = pipe(&[]);
        let now = Instant::now();
        pipe.fill(&[7; 64]);
        assert_eq!(pipe.room(now), 0);
        assert_eq!(pipe.discard(), 64);
        assert_eq!(pipe.room(now), 64);
        assert_eq!(pipe.fill(&[7; 64]), 64);
        assert_eq!(pipe.buffered(), 0);
        assert!(!pipe.is_over());
        pipe.end(Input::Ended);
        assert!(pipe.is_over());
    }
}
