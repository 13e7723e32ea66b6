//! Token buckets for clients: one for each address and one for all together.
//!
//! Per address alone, a client with many addresses takes everything; for all together alone, one
//! client starves the others. So a request needs a token of both. The table of addresses is
//! bounded: buckets that have refilled carry no information and go first, and when all are in use
//! a new address has to wait.

use crate::protocol::types::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses remembered at most.
const CLIENTS: usize = 4_096;
/// A bucket holds the tokens of so many seconds.
const BURST_SECONDS: u64 = 2;
const NANOS: u64 = 1_000_000_000;

/// Counts in billionths of a token, so that nothing is lost to rounding.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    rate: u64,
    level: u64,
    at: Time,
}

impl Bucket {
    fn full(rate: u64, now: Time) -> Bucket {
        Bucket { rate, level: rate * BURST_SECONDS * NANOS, at: now }
    }

    fn refill(&mut self, now: Time) {
        let elapsed = now.since(self.at).as_nanos().min(u128::from(BURST_SECONDS * NANOS)) as u64;
        let most = self.rate * BURST_SECONDS * NANOS;
        self.level = (self.level + elapsed * self.rate).min(most);
        self.at = self.at.max(now);
    }

    fn is_full(&self) -> bool {
        self.level == self.rate * BURST_SECONDS * NANOS
    }

    fn take(&mut self) -> bool {
        let enough = self.level >= NANOS;
        self.level -= if enough { NANOS } else { 0 };
        enough
    }
}

/// Decides who may submit now.
#[derive(Debug)]
pub struct Limiter {
    rate: u64,
    total: Bucket,
    clients: BTreeMap<IpAddr, Bucket>,
}

impl Limiter {
    /// Limits in requests a second.
    pub fn new(per_client: u32, total: u32, now: Time) -> Limiter {
        let total = Bucket::full(total.into(), now);
        Limiter { rate: per_client.into(), total, clients: BTreeMap::new() }
    }

    /// Takes a token, or says no.
    pub fn allow(&mut self, now: Time, client: IpAddr) -> bool {
        self.total.refill(now);
        if !self.clients.contains_key(&client) && self.clients.len() >= CLIENTS {
            self.clients.retain(|_, bucket| {
                bucket.refill(now);
                !bucket.is_full()
            });
            if self.clients.len() >= CLIENTS {
                return false;
            }
        }
        let bucket = self.clients.entry(client).or_insert_with(|| Bucket::full(self.rate, now));
        bucket.refill(now);
        bucket.take() && self.total.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn client(i: u32) -> IpAddr {
        Ipv4Addr::from(i).into()
    }

    fn allowed(limiter: &mut Limiter, now: Time, client: IpAddr, tries: u32) -> usize {
        (0..tries).filter(|_| limiter.allow(now, client)).count()
    }

    #[test]
    fn a_client_gets_its_burst_and_then_its_rate() {
        let start = Time(7);
        let mut limiter = Limiter::new(10, 1_000, start);
        assert_eq!(allowed(&mut limiter, start, client(1), 100), 20);
        assert_eq!(allowed(&mut limiter, start + Duration::from_millis(500), client(1), 100), 5);
        assert_eq!(allowed(&mut limiter, start, client(2), 100), 20, "the others are not affected");
        let later = start + Duration::from_secs(3_600);
        assert_eq!(allowed(&mut limiter, later, client(1), 100), 20, "no more than the burst");
    }

    #[test]
    fn many_clients_share_the_total() {
        let mut limiter = Limiter::new(10, 50, Time(0));
        let sum: usize = (0..100).map(|i| allowed(&mut limiter, Time(0), client(i), 10)).sum();
        assert_eq!(sum, 100);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_who_is_quiet() {
        let mut limiter = Limiter::new(1, u32::MAX, Time(0));
        let all = |limiter: &mut Limiter, now: Time, from: u32| {
            (from..from + 5_000).filter(|&i| limiter.allow(now, client(i))).count()
        };
        assert_eq!(all(&mut limiter, Time(0), 0), CLIENTS);
        assert_eq!(all(&mut limiter, Time(0) + Duration::from_secs(9), 10_000), CLIENTS);
        assert_eq!(limiter.clients.len(), CLIENTS);
    }
}
