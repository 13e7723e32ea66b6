//! Named draws about one subject.

use crate::plan::draw::Draw;

/// Everything that is drawn about one subject: the name of a draw is what it decides.
pub(super) struct Dice {
    pub(super) seed: u64,
    pub(super) subject: String,
}

impl Dice {
    /// For the subject of this name.
    pub(super) fn about(seed: u64, subject: impl Into<String>) -> Dice {
        Dice { seed, subject: subject.into() }
    }

    /// The stream of this name.
    pub(super) fn draw(&self, name: &str) -> Draw {
        Draw::new(self.seed, ["swarm", &self.subject, name])
    }

    /// Uniform, both ends included.
    pub(super) fn between(&self, name: &str, low: u64, high: u64) -> u64 {
        self.draw(name).between(low, high)
    }

    /// True `permille` times of a thousand.
    pub(super) fn chance(&self, name: &str, permille: u64) -> bool {
        self.draw(name).below(1_000) < permille
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&self, name: &str, from: &[T]) -> T {
        from[self.draw(name).below(from.len() as u64) as usize]
    }

    /// Where something stands in a random order: those with the least come first. Each thing has
    /// its own, so that one more of them moves no other.
    pub(super) fn rank(&self, name: &str) -> u64 {
        self.draw(name).below(u64::MAX)
    }

    /// An index, each as likely as its weight.
    pub(super) fn weighted(&self, name: &str, weights: &[u64]) -> usize {
        let mut left = self.draw(name).below(weights.iter().sum());
        let found = weights.iter().position(|weight| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        found.expect("the draw is below the sum")
    }

    /// From `low` to `high` with all orders of magnitude alike: first how often to halve the top,
    /// then within that octave.
    pub(super) fn octaves(&self, name: &str, low: u64, high: u64) -> u64 {
        let mut draw = self.draw(name);
        let octave = draw.below(u64::from((high / low.max(1)).max(1).ilog2()) + 1);
        let top = high >> octave;
        draw.between((top / 2).max(low), top.max(low))
    }
}
