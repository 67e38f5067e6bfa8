//! Two commands at the same moment: one waits for the other.

use tests::{Fixture, PATIENCE};
use vnet_user::lab::{Outcome, probe};

/// Starts all of them before it waits for the first.
fn at_once(fixture: &Fixture, commands: &[String]) -> Vec<Outcome> {
    let started: Vec<_> = commands
        .iter()
        .map(|arguments| {
            (
                arguments.clone(),
                fixture.vnet.command(arguments).spawn().unwrap(),
            )
        })
        .collect();
    started
        .into_iter()
        .map(|(arguments, child)| {
            Outcome::from_output(arguments, &child.wait_with_output().unwrap())
        })
        .collect()
}

#[test]
fn commands_at_the_same_moment_all_do_their_work() {
    let mut fixture = Fixture::new();
    for outcome in at_once(
        &fixture,
        &[
            "attach --iface enp0s8".to_owned(),
            "attach --iface enp0s8".to_owned(),
        ],
    ) {
        assert!(outcome.ok(), "{outcome:?}");
    }
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let commands = ["a", "b", "c", "d"].map(|role| {
        let name = fixture.lab.add(role).unwrap().name().to_owned();
        format!("endpoint add --network web --netns {name}")
    });
    for outcome in at_once(&fixture, &commands) {
        assert!(outcome.ok(), "{outcome:?}");
    }
    let shown = fixture.show();
    let mut addresses: Vec<String> = shown["uplinks"][0]["endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| endpoint["addresses"][0].as_str().unwrap().to_owned())
        .collect();
    addresses.sort();
    let wanted = ["1", "2", "3", "4"].map(|last| format!("192.168.200.{last}/24"));
    assert_eq!(addresses, wanted);
    let a = fixture.lab.get("a").unwrap();
    let b = fixture
        .lab
        .get("b")
        .unwrap()
        .ip("-o -4 addr show dev eth0")
        .unwrap();
    let b = b
        .split_whitespace()
        .nth(3)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(probe::ping(a, b, PATIENCE).unwrap().is_some());
}

#[test]
fn of_two_that_want_the_same_one_wins_and_the_other_is_told() {
    let mut fixture = Fixture::attached();
    fixture.network("web", "--vlan 200 --subnet 192.168.200.0/24");
    let commands = ["a", "b"].map(|role| {
        let name = fixture.lab.add(role).unwrap().name().to_owned();
        format!("endpoint add --network web --netns {name} --ip 192.168.200.9")
    });
    let outcomes = at_once(&fixture, &commands);
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.iter().partition(|outcome| outcome.ok());
    assert_eq!((won.len(), lost.len()), (1, 1), "{outcomes:?}");
    assert!(lost[0].stderr.contains("192.168.200.9"), "{lost:?}");
}
