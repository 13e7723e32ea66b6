//! Tables of what is read and what is refused, and the identity of printing and reading.

use super::*;
use proptest::prelude::*;

#[test]
fn quantities_are_exact_integers() {
    let ns = |text: &str| text.parse::<Nanos>().map(|n| n.0);
    assert_eq!(ns("1ns"), Ok(1));
    assert_eq!(ns("2us"), Ok(2_000));
    assert_eq!(ns("250ms"), Ok(250_000_000));
    assert_eq!(ns("1.5s"), Ok(1_500_000_000));
    assert_eq!(ns("2m"), Ok(120_000_000_000));
    assert_eq!(ns("0.5h"), Ok(1_800_000_000_000));
    assert_eq!(ns("0.000000001s"), Ok(1));
    assert_eq!(ns("1.50ms"), Ok(1_500_000));
    assert_eq!("0.1%".parse(), Ok(Share(1_000_000)));
    assert_eq!("0.0000001%".parse(), Ok(Share(1)));
    assert_eq!("100%".parse(), Ok(Share::ALL));
    assert_eq!("200B".parse(), Ok(Size(200)));
    assert_eq!("1kB".parse(), "1KB".parse::<Size>());
    assert_eq!("1.5KiB".parse(), Ok(Size(1_536)));
    assert_eq!("2MiB".parse(), Ok(Size(2_097_152)));
    assert_eq!("1Gbps".parse(), Ok(Rate(1_000_000_000)));
    assert_eq!("2.5kbps".parse(), Ok(Rate(2_500)));
    assert_eq!("50ppm".parse(), Ok(Drift(50_000)));
    assert_eq!("-0.5ppm".parse(), Ok(Drift(-500)));
    assert_eq!("-3s".parse(), Ok(Offset(-3_000_000_000)));
    assert_eq!("+3ms".parse(), Ok(Offset(3_000_000)));
}

#[test]
fn refusals_name_the_reason() {
    let duration = |text: &str| text.parse::<Nanos>().unwrap_err();
    for bare in ["250", "0", "1.5"] {
        assert!(matches!(duration(bare), UnitError::NoUnit { .. }), "{bare}");
    }
    for unit in ["5sec", "5 s", "5%", "5Ms", "1e3s", "1_000ms"] {
        assert!(matches!(duration(unit), UnitError::UnknownUnit { .. }), "{unit}");
    }
    for nothing in ["", "s", ".5s", "5.s", "1.2.3s", "-1s", "+1s", "fast", "é"] {
        assert!(matches!(duration(nothing), UnitError::NotANumber { .. }), "{nothing}");
    }
    for fine in ["0.5ns", "1.0000001ms", &format!("0.{}1s", "0".repeat(50))] {
        assert!(matches!(duration(fine), UnitError::TooFine { .. }), "{fine}");
    }
    for large in ["9223372036854775808ns", "99999999999h", &format!("{}s", "9".repeat(60))] {
        assert!(matches!(duration(large), UnitError::TooLarge { .. }), "{large}");
    }
    assert!(matches!("100.0000001%".parse::<Share>(), Err(UnitError::TooLarge { .. })));
    assert!(matches!("0.00000001%".parse::<Share>(), Err(UnitError::TooFine { .. })));
    assert!(matches!("0.5B".parse::<Size>(), Err(UnitError::TooFine { .. })));
}

#[test]
fn printing_picks_a_unit_that_people_read() {
    let print = |ns: u64| Nanos(ns).to_string();
    assert_eq!(print(0), "0s");
    assert_eq!(print(999), "999ns");
    assert_eq!(print(46_500_000), "46.5ms");
    assert_eq!(print(1_234_567), "1234.567us");
    assert_eq!(print(12_345_000_000), "12.345s");
    assert_eq!(print(12_345_600_000), "12345.6ms");
    assert_eq!(print(75_000_000_000), "75s");
    assert_eq!(Share(1_000_000).to_string(), "0.1%");
    assert_eq!(Share(1).to_string(), "0.0000001%");
    assert_eq!(Size(1_500).to_string(), "1500B");
    assert_eq!(Size(32_000).to_string(), "32kB");
    assert_eq!(Rate(1_500_000_000).to_string(), "1.5Gbps");
    assert_eq!(Drift(-12_500).to_string(), "-12.5ppm");
    assert_eq!(Drift(7).to_string(), "0.007ppm");
    assert_eq!(Offset(-3_000_000).to_string(), "-3ms");
    assert_eq!(format!("{:>8}", Size(5)), "      5B");
}

#[test]
fn figures_for_people_are_rounded_down() {
    assert_eq!(percent(599_999_999, 1_000_000_000), "59.9 %");
    assert_eq!(percent(3, 5), "60.0 %");
    assert_eq!(percent(u64::MAX, u64::MAX), "100.0 %");
    assert_eq!(Nanos(5_000_999_999).in_seconds(), "5.000 s");
    assert_eq!(Share(333_333_333).of(10), 3);
    assert_eq!(Share::ALL.of(u64::MAX), u64::MAX);
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(
        value in prop_oneof![0..=10_000u64, 0..=i64::MAX as u64],
        zeros in 0..10u32,
        share in 0..=1_000_000_000u32,
        drift in -100_000_000..=100_000_000i64,
    ) {
        let value = value / 10u64.pow(zeros) * 10u64.pow(zeros);
        let signed = i64::try_from(value).unwrap();
        prop_assert_eq!(Nanos(value).to_string().parse(), Ok(Nanos(value)));
        prop_assert_eq!(Offset(-signed).to_string().parse(), Ok(Offset(-signed)));
        prop_assert_eq!(Size(value).to_string().parse(), Ok(Size(value)));
        prop_assert_eq!(Rate(value).to_string().parse(), Ok(Rate(value)));
        prop_assert_eq!(Share(share).to_string().parse(), Ok(Share(share)));
        prop_assert_eq!(Drift(drift).to_string().parse(), Ok(Drift(drift)));
    }

    #[test]
    fn reading_never_panics(text in "\\PC{0,30}") {
        let _ = text.parse::<Nanos>();
        let _ = text.parse::<Offset>();
        let _ = text.parse::<Share>();
    }
}
