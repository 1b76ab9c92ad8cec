//! The random numbers and the one tail probability that the bootstrap needs.
//! Seeded with a constant: the same two runs always compare the same.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A stream of random numbers: splitmix64.
pub struct Random(u64);

impl Random {
    /// The stream of that seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, neither of them.
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (2.0 * PI * self.unit()).cos()
    }

    /// Gamma of that shape, at least 1, and scale 1 (Marsaglia and Tsang 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    /// Beta with both shapes at least 1.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        x / (x + y)
    }
}

/// The probability that a standard normal lies further from 0 than `z`, on
/// either side.
pub fn two_sided(z: f64) -> f64 {
    let z = z.abs();
    if z > 38.0 {
        return 0.0;
    }
    let density = (-0.5 * z * z).exp() * FRAC_1_SQRT_2 / PI.sqrt();
    if z < 3.0 {
        // The series of the distribution function around 0.
        let (mut term, mut sum, mut odd) = (z, z, 1.0);
        while term > sum * 1e-17 {
            odd += 2.0;
            term *= z * z / odd;
            sum += term;
        }
        return (1.0 - 2.0 * density * sum).max(0.0);
    }
    // The continued fraction of Mills' ratio, from its far end.
    let mut fraction = z;
    for k in (1..=60).rev() {
        fraction = z + f64::from(k) / fraction;
    }
    2.0 * density / fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_of_the_normal_are_the_tables() {
        for (z, p) in [
            (0.0, 1.0),
            (1.0, 0.317_310_5),
            (1.959_964, 0.05),
            (3.290_527, 0.001),
            (6.0, 1.973_175e-9),
        ] {
            assert!(
                (two_sided(z) / p - 1.0).abs() < 1e-5,
                "{z}: {}",
                two_sided(z)
            );
        }
        assert_eq!(two_sided(f64::INFINITY), 0.0);
    }

    #[test]
    fn beta_has_its_mean_and_spread() {
        let mut random = Random::new(5);
        for (a, b) in [(1.0, 1.0), (32.0, 33.0), (1.0, 64.0), (990_000.0, 10_001.0)] {
            let draws: Vec<f64> = (0..20_000).map(|_| random.beta(a, b)).collect();
            let mean = draws.iter().sum::<f64>() / 2e4;
            let spread = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 2e4;
            let (sum, expected) = (a + b, a / (a + b));
            let variance = a * b / (sum * sum * (sum + 1.0));
            assert!(
                (mean - expected).abs() < 4.0 * (variance / 2e4).sqrt(),
                "{a} {b}"
            );
            assert!((spread / variance - 1.0).abs() < 0.1, "{a} {b}");
        }
    }
}
