//! Student's distribution: how far a mean of few may lie off by chance.

use libm::{exp, lgamma, log};

/// The probability of a `t` as far from 0, on either side, with so many degrees of freedom.
pub fn two_sided(t: f64, df: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    beta(df / (df + t * t), df / 2.0, 0.5)
}

/// The `t` that is exceeded, on either side, with this probability.
pub fn limit(p: f64, df: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, df) > p && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if two_sided(middle, df) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularized incomplete beta function I_x(a, b), by its continued fraction
/// (DLMF 8.17.22, Lentz's method).
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta(1.0 - x, b, a);
    }
    let front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * libm::log1p(-x)) / a;
    let tiny = 1e-300;
    let keep = |v: f64| if v.abs() < tiny { tiny } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / keep(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / keep(1.0 + term * d);
            c = keep(1.0 + term / c);
            value *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    front * value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_the_tables() {
        for (df, p, t) in [
            (1.0, 0.05, 12.706),
            (4.0, 0.05, 2.776),
            (8.0, 0.01, 3.355),
            (30.0, 0.001, 3.646),
        ] {
            assert!(
                (limit(p, df) - t).abs() < 0.001,
                "{df} {p}: {}",
                limit(p, df)
            );
            assert!((two_sided(t, df) / p - 1.0).abs() < 0.002, "{df} {p}");
        }
        assert!((two_sided(0.0, 5.0) - 1.0).abs() < 1e-12);
        assert_eq!(two_sided(f64::INFINITY, 5.0), 0.0);
        // Far out, where a million tests look.
        assert!(
            (two_sided(20.0, 8.0) / 4.08e-8 - 1.0).abs() < 0.05,
            "{}",
            two_sided(20.0, 8.0)
        );
    }
}
