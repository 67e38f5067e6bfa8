//! A test that kills one command at each of its changes in turn.

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use crate::kill_point::Ended;

/// How long the rounds of one test may take: on a machine of today, all of them fit in.
const BUDGET: Duration = Duration::from_secs(16);
/// The same on an emulated machine, where only some do.
const BUDGET_EMULATED: Duration = Duration::from_secs(5);
/// A round that takes longer than this tells an emulated machine.
const EMULATED: Duration = Duration::from_millis(700);

/// Runs `round` once with a command that gets through, and then with one that is killed just before its n-th change, for all
/// n in the order of [`halving`], until the budget is used up. Says on standard error, past the test runner, how many of the
/// changes were tried.
///
/// A round sets up what the command needs, runs it by [`crate::kill_point::run`] with the number it is given, and checks
/// what the next commands make of it.
///
/// # Panics
///
/// When a command that should have been killed was not, or when it changes nothing at all.
pub fn kill_at_each_change(command: &str, mut round: impl FnMut(Option<usize>) -> Ended) {
    let begun = Instant::now();
    let whole = round(None);
    assert_eq!(whole.code, Some(0), "{command}: {whole:?}");
    let all = whole.changes.len();
    assert_ne!(all, 0, "{command} changes nothing");
    let budget = match begun.elapsed() > EMULATED {
        true => BUDGET_EMULATED,
        false => BUDGET,
    };
    let mut tried = 0;
    for index in halving(all) {
        if tried > 0 && begun.elapsed() > budget {
            break;
        }
        let nth = index + 1;
        println!(
            "{command}: killed before change {nth}: {}",
            whole.changes[index]
        );
        let ended = round(Some(nth));
        assert!(
            ended.is_killed() && ended.changes.len() == nth,
            "{command} was to be killed before change {nth} of {all}: {ended:?}"
        );
        tried += 1;
    }
    // Not by `println!`, which the test runner keeps to itself when the test is good.
    let _ = writeln!(
        io::stderr(),
        "{command}: killed before {tried} of {all} changes, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
}

/// All numbers below `count`, each between those before it: however many of them are taken, they are spread evenly.
fn halving(count: usize) -> impl Iterator<Item = usize> {
    let widest = count.next_power_of_two();
    let steps = std::iter::successors(Some(widest), |step| Some(step / 2).filter(|step| *step > 0));
    let between = steps.flat_map(move |step| (step..count).step_by(2 * step));
    std::iter::once(0).chain(between).take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_halved_until_all_numbers_were_there() {
        let order: Vec<_> = halving(10).collect();
        assert_eq!(order, [0, 8, 4, 2, 6, 1, 3, 5, 7, 9]);
        assert_eq!(halving(1).collect::<Vec<_>>(), [0]);
    }
}
