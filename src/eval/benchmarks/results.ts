/** The average over the eight benchmarks, on 0 to 100 (OCRBench out of 1,000, divided by ten). */
export function averageOfEight(mains: readonly number[]): number {
  return mains.reduce((sum, main) => sum + main, 0) / mains.length;
}
