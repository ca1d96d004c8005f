/**
 * Smoothness of a movement from its speed profile: spectral arc length (SPARC, Balasubramanian et al. 2015) and log dimensionless jerk. Both are
 * free of units and larger (less negative) for smoother movements.
 */

/** Lines of the spectrum below this share of its maximum at the upper end are left out. */
const AMPLITUDE = 0.05;
/** Zero padding: times two to this power. */
const PADDING = 4;
const MAX_HZ = 10;

/** @param speeds samples of the speed, any unit; @param hz their rate. 0 for a movement that is none. */
export function spectralArcLength(speeds: readonly number[], hz: number): number {
  const total = speeds.reduce((sum, speed) => sum + speed, 0);
  if (speeds.length < 2 || total <= 0) return 0;
  const lines = 2 ** (Math.ceil(Math.log2(speeds.length)) + PADDING);
  const step = hz / lines;
  const cutoff = Math.min(MAX_HZ, hz / 2);
  const magnitudes: number[] = [];
  for (let k = 0; k * step <= cutoff; k++) {
    let [re, im] = [0, 0];
    speeds.forEach((speed, n) => {
      const angle = (2 * Math.PI * k * n) / lines;
      re += speed * Math.cos(angle);
      im -= speed * Math.sin(angle);
    });
    // Normalised by the line at zero, which is the sum.
    magnitudes.push(Math.hypot(re, im) / total);
  }
  const last = magnitudes.findLastIndex((magnitude) => magnitude >= AMPLITUDE);
  const width = last * step;
  if (width === 0) return 0;
  let length = 0;
  for (let k = 1; k <= last; k++) {
    const rise = (magnitudes[k] as number) - (magnitudes[k - 1] as number);
    length += Math.hypot(step / width, rise);
  }
  return -length;
}

/** ln of duration^3 / peak speed^2 times the integral of the squared jerk, negative. @param velocities [T][3], 1/hz apart */
export function logDimensionlessJerk(velocities: readonly (readonly number[])[], hz: number): number {
  const duration = velocities.length / hz;
  const peak = Math.max(...velocities.map((velocity) => Math.hypot(...velocity)));
  if (velocities.length < 3 || peak === 0) return 0;
  let integral = 0;
  for (let t = 1; t + 1 < velocities.length; t++) {
    const jerk = (velocities[t] as readonly number[]).map(
      (now, d) =>
        (((velocities[t + 1]?.[d] as number) - 2 * now + (velocities[t - 1]?.[d] as number)) * hz * hz) as number,
    );
    integral += jerk.reduce((sum, value) => sum + value * value, 0) / hz;
  }
  return integral === 0 ? 0 : -Math.log((duration ** 3 / peak ** 2) * integral);
}
