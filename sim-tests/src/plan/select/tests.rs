//! The subset sums against brute force, the exact edges, and the spread over equal sums.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn draw(seed: u64) -> Draw {
    Draw::new(seed, ["test", "select", ""])
}

fn choose(rule: &str, stakes: &[u64], seed: u64) -> Result<(Vec<u16>, u64), SelectError> {
    let rule: StakeRule = rule.parse().unwrap();
    let nodes = rule.choose(stakes, &mut draw(seed))?;
    let held = nodes.iter().map(|n| stakes[usize::from(*n)]).sum();
    Ok((nodes, held))
}

fn held(rule: &str, stakes: &[u64]) -> u64 {
    choose(rule, stakes, 1).unwrap().1
}

#[test]
fn thresholds_are_exact_to_the_unit() {
    let equal = [1; 10];
    assert_eq!(held("40%", &equal), 4);
    assert_eq!(held(">40%", &equal), 5);
    assert_eq!(held("<40%", &equal), 3);
    // T = 11: 20 % is 2.2 and 40 % is 4.4.
    assert_eq!(held("20%", &[1; 11]), 2);
    assert_eq!(held("<20%", &[1; 11]), 2);
    assert_eq!(held(">40%", &[1; 11]), 5);
    // One unit on either side of 40 % of 1,000.
    let edges = [399, 400, 401, 800];
    assert_eq!(held("20%", &edges), 400);
    assert_eq!(held("<20%", &edges), 399);
    assert_eq!(held(">20%", &edges), 401);
    assert_eq!(held("100%", &edges), 2_000);
    assert_eq!(held("20.05%..20.05%", &edges), 401);
}

#[test]
fn impossible_rules_say_what_the_nearest_sum_is() {
    for (rule, expected) in [("20%", 1), ("<34%", 1), ("0%", 1), (">100%", 2), ("60%..90%", 2)] {
        let error = choose(rule, &[1, 1], 1).unwrap_err();
        assert!(
            matches!(error, SelectError::NoSet { nearest, total: 2, .. } if nearest == expected),
            "{rule}: {error:?}"
        );
    }
}

#[test]
fn equal_sums_are_drawn_over_all_nodes() {
    let sides: BTreeSet<Vec<u16>> =
        (0..200).map(|seed| choose("40%", &[5; 10], seed).unwrap().0).collect();
    assert!(sides.len() > 100, "C(10,4) = 210 sides are possible, seen: {}", sides.len());
    let members: BTreeSet<u16> = sides.into_iter().flatten().collect();
    assert_eq!(members.len(), 10);
    assert_eq!(choose("40%", &[5; 10], 3), choose("40%", &[5; 10], 3));
}

#[test]
fn ranges_are_drawn_and_kept() {
    let stakes: Vec<u64> = (1..=20).map(|i| i * 1_000 + 7).collect();
    let total: u64 = stakes.iter().sum();
    let sums: BTreeSet<u64> = (0..50)
        .map(|seed| {
            let (_, held) = choose("35%..45%", &stakes, seed).unwrap();
            assert!(held * 100 >= total * 35 && held * 100 <= total * 45);
            held
        })
        .collect();
    assert!(sums.len() > 15, "{}", sums.len());
}

#[test]
fn a_hundred_nodes_hit_the_bound() {
    let stakes: Vec<u64> = (0..100u64).map(|i| 40_000_000 * 10 / (i + 10) + i * i * 31).collect();
    let total: u64 = stakes.iter().sum();
    let bound = total * 2 / 5;
    for seed in 0..5 {
        let (_, most) = choose("40%", &stakes, seed).unwrap();
        assert!(most <= bound && bound - most <= 2, "{} short", bound - most);
        let (_, least) = choose(">40%", &stakes, seed).unwrap();
        assert!(least > bound && least - bound <= 3, "{} over", least - bound);
    }
    assert_eq!(held("40%", &[7; 2_000]), 5_600);
}

#[test]
fn lists_and_regions_are_checked() {
    let (stakes, regions) = ([1, 1, 1], [0, 1, 0]);
    let names = ["london".to_owned(), "tokyo".to_owned()];
    let among = Population { stakes: &stakes, regions: &regions, names: &names };
    let choose = |selection: Selection| selection.choose(&among, &mut draw(1));
    let list = |nodes: &[u16]| Selection::Nodes(NodeList::Some(nodes.to_vec()));
    assert_eq!(choose(list(&[2, 0])), Ok(vec![0, 2]));
    assert_eq!(choose(Selection::Nodes(NodeList::All)), Ok(vec![0, 1, 2]));
    assert_eq!(choose(Selection::Region("london".into())), Ok(vec![0, 2]));
    assert_eq!(choose(list(&[3])), Err(SelectError::NoSuchNode { node: 3, nodes: 3 }));
    assert!(matches!(choose(list(&[1, 1])), Err(SelectError::List(_))));
    assert!(matches!(choose(list(&[])), Err(SelectError::List(_))));
    let nowhere = choose(Selection::Region("paris".into())).unwrap_err();
    assert!(nowhere.to_string().ends_with("london, tokyo"), "{nowhere}");
}

proptest! {
    #[test]
    fn small_clusters_agree_with_brute_force(
        stakes in prop::collection::vec(1..40u64, 1..11),
        share in 0..=100u32,
        seed in 0..1_000u64,
    ) {
        let total: u64 = stakes.iter().sum();
        let all: BTreeSet<u64> = (0..1u32 << stakes.len())
            .map(|mask| (0..stakes.len()).filter(|i| mask >> i & 1 == 1).map(|i| stakes[i]).sum())
            .collect();
        let side = |s: &u64| (u128::from(*s) * 100).cmp(&(u128::from(total) * u128::from(share)));
        let found = |rule: String| choose(&rule, &stakes, seed).ok().map(|f| f.1);
        let largest = |keep: &dyn Fn(&u64) -> bool| {
            all.iter().copied().filter(|s| *s > 0 && keep(s)).max()
        };
        prop_assert_eq!(found(format!("{share}%")), largest(&|s| side(s).is_le()));
        prop_assert_eq!(found(format!("<{share}%")), largest(&|s| side(s).is_lt()));
        let least = all.iter().copied().find(|s| side(s).is_gt());
        prop_assert_eq!(found(format!(">{share}%")), least);
    }
}
