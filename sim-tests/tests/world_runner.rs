//! How a run ends: its result, a panic at somebody's door, and never a second run.

#[path = "common/datagrams.rs"]
mod common;

use common::{Datagram, MS, calm};
use sim_tests::testing::in_child;
use sim_tests::world::{Port, World, run};

#[test]
fn a_panic_is_put_at_the_door_of_its_node() {
    in_child("a_panic_is_put_at_the_door_of_its_node", || {
        let result: Result<(), _> = run(1, || async {
            let world = World::new(calm(5, 1));
            world.set_program(|mut port: Port<Datagram>| async move {
                port.next(None, &mut Vec::new()).await;
                panic!("node {} does not like it", port.node());
            });
            (0..5).for_each(|node| world.start(node));
            world.schedule_command(12 * MS, 3, 0);
            world.pump(u64::MAX).await;
        });
        let panicked = result.unwrap_err();
        assert_eq!((panicked.node, panicked.at_ns), (Some(3), 12 * MS));
        let (text, place) = panicked.message.split_once(" (").unwrap();
        assert_eq!(text, "node 3 does not like it");
        assert!(place.contains("world_runner.rs:"), "{place}");
        assert!(panicked.to_string().starts_with("node 3 panicked at 12000000 ns: node 3 does"));
    });
}

#[test]
fn a_panic_of_the_harness_is_nobodys_fault() {
    in_child("a_panic_of_the_harness_is_nobodys_fault", || {
        struct Fussy;
        impl sim_tests::world::observe::Observer<Datagram> for Fussy {
            fn sent(&mut self, _: u64, _: usize, _: usize, _: u64, _: &Datagram) {
                panic!("an oracle fell over");
            }
        }
        let result: Result<(), _> = run(1, || async {
            let world = World::new(calm(1, 1));
            world.set_observer(Fussy);
            world.set_program(|port: Port<Datagram>| async move {
                port.send(0, "x".into(), 1);
            });
            world.start(0);
            world.pump(u64::MAX).await;
        });
        let panicked = result.unwrap_err();
        assert_eq!(panicked.node, None);
        assert!(panicked.to_string().starts_with("the harness panicked at 0 ns: an oracle"));
    });
}

#[test]
fn a_program_that_waits_elsewhere_is_found_out() {
    in_child("a_program_that_waits_elsewhere_is_found_out", || {
        let result = run(1, || async {
            let world = World::new(calm(2, 1));
            world.set_program(|_: Port<Datagram>| std::future::pending());
            world.start(1);
            world.pump(u64::MAX).await;
        });
        let panicked = result.unwrap_err();
        assert_eq!(panicked.node, Some(1));
        assert!(panicked.message.contains("something other than its port"), "{panicked}");
    });
}

#[test]
fn a_process_has_one_run() {
    in_child("a_process_has_one_run", || {
        assert_eq!(run(1, || async { 7 }), Ok(7));
        let second = std::panic::catch_unwind(|| run(1, || async { 7 }));
        let message = second.unwrap_err();
        let message = message.downcast_ref::<&str>().unwrap();
        assert!(message.starts_with("one process, one run"), "{message}");
    });
}
