//! How handles tell the loop that something waits for it, without a lock where nothing does.
//!
//! One word, so that there is no order of several to get wrong:
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `AWAKE` | the loop works and nothing waits | [`ring`](Bell::ring), [`fall_asleep`](Bell::fall_asleep) |
//! | `ASLEEP` | the loop waits and nothing waits for it | `ring`, which says that it must be woken; [`get_up`](Bell::get_up) |
//! | `RUNG` | something waits | [`answer`](Bell::answer) alone |
//!
//! `ring` and `answer` are called under the lock of what waits, so that whoever answers finds all that was rung for. The
//! loop falls asleep by one exchange of `AWAKE` for `ASLEEP`: a ring comes before it, and the exchange fails, or after
//! it, and wakes.

use std::sync::atomic::{AtomicU8, Ordering};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

/// Whether something waits for the loop, and whether the loop waits.
#[derive(Debug, Default)]
pub(super) struct Bell(AtomicU8);

impl Bell {
    // Handles' side.

    /// Something waits for the loop now. Whether the loop has to be woken. Under the lock.
    pub(super) fn ring(&self) -> bool {
        // Only under the lock is this state left, so that seeing it is enough: most of a burst write nothing.
        self.0.load(Ordering::Relaxed) != RUNG && self.0.swap(RUNG, Ordering::AcqRel) == ASLEEP
    }

    // The loop's side.

    /// Whether the loop may sleep: from now on a ring says that it must be woken.
    pub(super) fn fall_asleep(&self) -> bool {
        self.exchange(AWAKE, ASLEEP)
    }

    /// The loop works again. Whether something waits for it.
    pub(super) fn get_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) != AWAKE && !self.exchange(ASLEEP, AWAKE)
    }

    /// What waits is being taken. Under the lock.
    pub(super) fn answer(&self) {
        self.0.store(AWAKE, Ordering::Release);
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        self.0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// Where the loop is; each step is one that others may come before.
    #[derive(Clone, Copy, Debug)]
    enum Loop {
        Falling,
        Waiting,
        Rising,
        Taking,
    }

    /// The loop and its handles, one step at a time.
    #[derive(Debug)]
    struct World {
        bell: Bell,
        next: Loop,
        waits: u32,
        woken: bool,
        wakes: u32,
    }

    impl World {
        fn ring(&mut self) {
            self.waits += 1;
            if self.bell.ring() {
                self.woken = true;
                self.wakes += 1;
            }
        }

        /// A step of the loop. Whether there was one to do.
        fn step(&mut self) -> bool {
            self.next = match self.next {
                Loop::Falling if self.bell.fall_asleep() => Loop::Waiting,
                Loop::Falling => Loop::Rising,
                Loop::Waiting if !self.woken => return false,
                Loop::Waiting => Loop::Rising,
                Loop::Rising if self.bell.get_up() => Loop::Taking,
                Loop::Rising => Loop::Falling,
                Loop::Taking => {
                    self.bell.answer();
                    self.waits = 0;
                    Loop::Falling
                }
            };
            if matches!(self.next, Loop::Rising) {
                self.woken = false;
            }
            true
        }
    }

    #[test]
    fn in_every_order_of_steps_nothing_waits_for_a_sleeping_loop_and_a_burst_wakes_once() {
        const STEPS: u32 = 16;
        for order in 0..1_u32 << STEPS {
            let mut world = World {
                bell: Bell::default(),
                next: Loop::Falling,
                waits: 0,
                woken: false,
                wakes: 0,
            };
            let mut sleeps = 0;
            for at in 0..STEPS {
                if order >> at & 1 == 1 {
                    world.ring();
                } else if world.step() && matches!(world.next, Loop::Waiting) {
                    sleeps += 1;
                }
            }
            for _ in 0..8 {
                world.step();
            }
            assert_eq!(world.waits, 0, "order {order:b}: {world:?}");
            assert!(world.wakes <= sleeps, "order {order:b}: {world:?}");
        }
    }

    #[test]
    fn handles_in_threads_lose_nothing() {
        const HANDLES: u32 = 3;
        const EACH: u32 = 20_000;
        let (bell, waits) = (Bell::default(), Mutex::new(0));
        let (wake, woken) = mpsc::sync_channel(1);
        thread::scope(|scope| {
            for _ in 0..HANDLES {
                let (bell, waits, wake) = (&bell, &waits, wake.clone());
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let mut waits = waits.lock().expect("nobody panics under the lock");
                        *waits += 1;
                        let asleep = bell.ring();
                        drop(waits);
                        if asleep {
                            // One that is there already does as well.
                            let _full = wake.try_send(());
                        }
                    }
                });
            }
            let mut taken = 0;
            while taken < HANDLES * EACH {
                if bell.fall_asleep() {
                    woken
                        .recv_timeout(DEADLINE)
                        .expect("a wake while something waits");
                }
                if bell.get_up() {
                    let mut waits = waits.lock().expect("nobody panics under the lock");
                    bell.answer();
                    taken += std::mem::take(&mut *waits);
                }
            }
            assert_eq!(taken, HANDLES * EACH);
        });
    }
}
