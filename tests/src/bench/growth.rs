//! How cost grows with size: a power fitted to the sizes that were measured.

use std::{collections::BTreeMap, io::Write};

use serde::Serialize;

use super::BenchReport;

/// How seconds grow with records: the exponents of fitted powers.
#[derive(Clone, Debug, Serialize)]
pub struct Growth {
    /// Of the full pass.
    pub full: f64,
    /// Of its steps.
    pub steps: BTreeMap<String, f64>,
    /// Of taking exports in.
    pub ingest: f64,
    /// What `n log n` comes to over the same sizes.
    pub n_log_n: f64,
    /// Of the full pass, from each size to the next.
    pub full_by_size: Vec<f64>,
}

impl Growth {
    /// Fits the sizes measured; `None` where there are fewer than two.
    pub fn of(sizes: &[BenchReport]) -> Option<Self> {
        let pass = |size: &BenchReport| (size.records as f64, size.full.seconds);
        let by_size = sizes.windows(2).filter_map(|two| exponent(&[pass(&two[0]), pass(&two[1])]));
        let fit = |cost: &dyn Fn(&BenchReport) -> f64| {
            let points = sizes.iter().map(|size| (size.records as f64, cost(size)));
            exponent(&points.collect::<Vec<_>>())
        };
        let steps = sizes.first()?.full.steps.keys().filter_map(|step| {
            let seconds = |size: &BenchReport| size.full.steps.get(step).copied().unwrap_or(0.0);
            Some((step.clone(), fit(&seconds)?))
        });
        Some(Self {
            full: fit(&|size| size.full.seconds)?,
            steps: steps.collect(),
            ingest: fit(&|size| size.ingest.seconds)?,
            n_log_n: fit(&|size| size.records as f64 * (size.records as f64).ln())?,
            full_by_size: by_size.collect(),
        })
    }

    /// Prints it for a person.
    ///
    /// # Errors
    /// Fails when `out` does.
    pub fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Self { full, n_log_n, ingest, .. } = self;
        writeln!(out, "growth with the number of records n, fitted to these sizes")?;
        writeln!(out, "  {:<12} n^{full:.2}  (n log n is n^{n_log_n:.2} here)", "full pass")?;
        if self.full_by_size.len() > 1 {
            let each: Vec<String> = self.full_by_size.iter().map(|n| format!("n^{n:.2}")).collect();
            writeln!(out, "    from each size to the next: {}", each.join(", "))?;
        }
        for (step, exponent) in &self.steps {
            writeln!(out, "    {step:<10} n^{exponent:.2}")?;
        }
        Ok(writeln!(out, "  {:<12} n^{ingest:.2}", "ingest")?)
    }
}

/// The slope of the least-squares line through the logarithms; `None` where there is no line, or
/// nothing was measured.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    /// Below this, in seconds, chance is all there is.
    const MEASURABLE: f64 = 0.01;
    if points.iter().any(|(_, cost)| *cost < MEASURABLE) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(n, cost)| (n.ln(), cost.ln())).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / logs.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let (above, below) = logs.iter().fold((0.0, 0.0), |(above, below), point| {
        let apart = point.0 - x;
        (above + apart * (point.1 - y), below + apart * apart)
    });
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_is_found_again_and_one_size_has_none() {
        let square: Vec<(f64, f64)> = [1e3, 1e4, 2e6].map(|n| (n, 3.0 * n * n)).into();
        assert!((exponent(&square).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(exponent(&square[..1]), None);
        assert_eq!(exponent(&[(1e3, 0.0), (1e4, 0.001)]), None, "too short to measure");
    }
}
