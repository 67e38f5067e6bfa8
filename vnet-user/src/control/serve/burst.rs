//! Changes that come together: one reason for one pass.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, timeout_at};

use crate::link::{LinkChange, LinkChanges, LinkError};

/// A burst has ended when nothing has come for so long.
pub(super) const QUIET: Duration = Duration::from_millis(30);
/// The same after a pass that had something to say.
pub(super) const AFTER_NEWS: Duration = Duration::from_millis(200);
/// No burst is longer than this, however many changes come.
const LONGEST: Duration = Duration::from_millis(500);
/// A bond that has failed over tells its neighbours at once, or when its new port has settled (`bond_should_notify_peers`,
/// at the next round of `miimon`, which a busy machine makes late): for so long it is waited for, so that one failover is
/// announced once.
const UNTIL_NOTIFIED: Duration = Duration::from_secs(1);

/// What came in one burst.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Burst {
    /// Indexes of interfaces whose neighbours must learn anew how they are reached.
    pub(super) moved: BTreeSet<u32>,
}

impl Burst {
    /// Waits for the first change, and for those that come with it, in `begun`: who stops waiting goes on later.
    pub(super) async fn gather(
        changes: &mut LinkChanges,
        quiet: Duration,
        begun: &mut Option<Gathering>,
    ) -> Result<Self, LinkError> {
        let gathering = match begun {
            Some(gathering) => gathering,
            None => {
                let first = changes.next().await?;
                begun.insert(Gathering::begin(first, Instant::now()))
            }
        };
        while let Ok(change) = timeout_at(gathering.end(quiet), changes.next()).await {
            gathering.add(change?, Instant::now());
        }
        Ok(begun.take().map(Gathering::finish).unwrap_or_default())
    }
}

/// A burst that goes on.
pub(super) struct Gathering {
    burst: Burst,
    first: Instant,
    last: Instant,
    /// Bonds that have failed over and have not said so to their neighbours yet, and when the last of them did.
    failed_over: BTreeSet<u32>,
    last_failover: Instant,
}

impl Gathering {
    fn begin(change: LinkChange, now: Instant) -> Self {
        let mut gathering = Self::awaiting(BTreeSet::new(), now);
        gathering.add(change, now);
        gathering
    }

    /// Of these bonds it is known already that they send by another port, but not yet whether they have told their
    /// neighbours.
    pub(super) fn awaiting(failed_over: BTreeSet<u32>, now: Instant) -> Self {
        Self {
            burst: Burst::default(),
            first: now,
            last: now,
            failed_over,
            last_failover: now,
        }
    }

    fn add(&mut self, change: LinkChange, now: Instant) {
        self.last = now;
        match change {
            LinkChange::NotifyPeers(index) => {
                self.failed_over.remove(&index);
                self.burst.moved.insert(index);
            }
            LinkChange::Failover(index) => {
                self.failed_over.insert(index);
                self.last_failover = now;
            }
            LinkChange::Other => {}
        }
    }

    /// Bonds that have not told their neighbours by now won't (`num_grat_arp 0`, `balance-tlb`), and have moved all the same.
    fn finish(mut self) -> Burst {
        self.burst.moved.append(&mut self.failed_over);
        self.burst
    }

    fn end(&self, quiet: Duration) -> Instant {
        let end = (self.last + quiet).min(self.first + LONGEST);
        match self.failed_over.is_empty() {
            true => end,
            false => end.max(self.last_failover + UNTIL_NOTIFIED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(10);

    #[test]
    fn a_burst_ends_when_it_is_quiet_or_has_gone_on_for_long() {
        let first = Instant::now();
        let mut burst = Gathering::begin(LinkChange::Other, first);
        assert_eq!(burst.end(QUIET), first + QUIET);
        burst.add(LinkChange::Other, first + STEP);
        assert_eq!(burst.end(QUIET), first + STEP + QUIET);
        burst.add(LinkChange::Other, first + LONGEST - STEP);
        assert_eq!(burst.end(QUIET), first + LONGEST);
    }

    #[test]
    fn a_failover_waits_for_its_notification() {
        let first = Instant::now();
        let mut burst = Gathering::begin(LinkChange::Failover(7), first);
        assert_eq!(burst.end(QUIET), first + UNTIL_NOTIFIED);
        burst.add(LinkChange::NotifyPeers(8), first + STEP);
        assert_eq!(burst.end(QUIET), first + UNTIL_NOTIFIED);
        burst.add(LinkChange::NotifyPeers(7), first + 2 * STEP);
        assert_eq!(burst.end(QUIET), first + 2 * STEP + QUIET);
        assert_eq!(burst.finish().moved, [7, 8].into());
    }

    #[test]
    fn a_bond_that_tells_nobody_has_moved_all_the_same() {
        let first = Instant::now();
        let mut burst = Gathering::awaiting([7, 9].into(), first);
        assert_eq!(burst.end(QUIET), first + UNTIL_NOTIFIED);
        burst.add(LinkChange::NotifyPeers(9), first + STEP);
        assert_eq!(burst.end(QUIET), first + UNTIL_NOTIFIED);
        assert_eq!(burst.finish().moved, [7, 9].into());
    }
}
