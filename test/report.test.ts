/**
 * The demo's report in a real browser: it opens from a disk, fetches nothing, plays its videos and fits a telephone.
 * Its numbers are made up here; no result of the project comes from this file.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Report, renderReport } from 'dualvla/eval';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** A second of ffmpeg's test picture. */
function testVideo(folder: string): Uint8Array {
  const path = join(folder, 'test.mp4');
  const source = ['-f', 'lavfi', '-i', 'testsrc=duration=1:size=128x128:rate=5'];
  execFileSync('ffmpeg', ['-v', 'error', ...source, '-pix_fmt', 'yuv420p', path]);
  return readFileSync(path);
}

function madeUpReport(bytes: Uint8Array): Report {
  const rollout = { variant: 'vm', mime: 'video/mp4', bytes } as const;
  return {
    title: 'A made-up run',
    summary: 'Numbers for the test of the page, <not> "results".',
    facts: [{ name: 'recipe', value: 'made-up' }],
    stages: [
      { name: 'Demonstrations', what: '600 episodes', seconds: 70 },
      { name: 'Training', what: '3000 steps', seconds: 500 },
    ],
    models: {
      specialist: {
        'widowx/put-carrot-on-plate/vm': { successes: 82, trials: 100 },
        'widowx/put-carrot-on-plate/va': { successes: 55, trials: 100 },
        'google/pick-coke-can/vm': { successes: 100, trials: 100 },
      },
    },
    protocol: 'Test seeds 0 to 99.',
    videos: [
      {
        ...rollout,
        task: 'widowx/put-carrot-on-plate',
        instruction: 'put the carrot on the plate',
        seed: 3,
        success: true,
        steps: 21,
      },
      {
        ...rollout,
        task: 'google/pick-coke-can',
        instruction: 'pick <b>up</b> the can',
        seed: 4,
        success: false,
        steps: 80,
      },
    ],
    curves: [
      {
        name: 'loss',
        points: Array.from({ length: 900 }, (_, step) => ({
          step,
          value: 2 / (1 + step / 40) + 0.05 * Math.abs(Math.sin(step)),
        })),
      },
      { name: 'broken', points: [{ step: 0, value: Number.NaN }] },
    ],
    files: [{ what: 'demonstrations', path: 'outputs/demo/data' }],
    commands: [{ what: 'See it move:', command: 'npx dualvla rollout --task widowx/put-carrot-on-plate' }],
  };
}

describe.skipIf(browserPath === undefined)('the report in Chromium', () => {
  let folder: string;
  let browser: Browser;
  let page: Page;
  const requests: string[] = [];
  const complaints: string[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dualvla-report-'));
    writeFileSync(join(folder, 'report.html'), renderReport(madeUpReport(testVideo(folder))));
    const quiet = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
    browser = await chromium.launch({
      executablePath: browserPath ?? '',
      args: [...quiet, '--disable-background-networking', '--disable-component-update'],
    });
    page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(pathToFileURL(join(folder, 'report.html')).href);
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('is one file without complaints', () => {
    expect(requests.filter((url) => !url.startsWith('data:'))).toHaveLength(1);
    expect(complaints).toEqual([]);
  });

  test('shows rates with counts and intervals', async () => {
    expect(await page.title()).toBe('A made-up run');
    const words = await page.locator('svg.bars .words').allTextContents();
    expect(words).toEqual([
      'VM  82 %  (82/100; 73-88 %)',
      'VA  55 %  (55/100; 45-64 %)',
      'VM  100 %  (100/100; 96-100 %)',
    ]);
    expect(await page.locator('.figure b').first().textContent()).toBe('91 %');
    const [full, most] = await page
      .locator('svg.bars rect.vm')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width))
      .then((w) => [w[1] ?? 0, w[0] ?? 0]);
    expect((most ?? 0) / (full ?? 1)).toBeCloseTo(0.82, 2);
  });

  test('text is text', async () => {
    expect(await page.locator('.lead').textContent()).toContain('<not> "results"');
    expect(await page.locator('.rollout q b').count()).toBe(0);
  });

  test('videos play', async () => {
    const video = page.locator('video').first();
    await expect
      .poll(() => video.evaluate((element: HTMLVideoElement) => element.readyState))
      .toBeGreaterThanOrEqual(2);
    expect(await video.evaluate((element: HTMLVideoElement) => [element.videoWidth, element.error])).toEqual([
      128,
      null,
    ]);
  });

  test('draws the curve inside its axes and leaves out what is no number', async () => {
    const paths = await page
      .locator('svg.loss path')
      .evaluateAll((all) => all.map((path) => path.getAttribute('d') ?? ''));
    expect(paths).toHaveLength(2);
    const numbers =
      paths
        .join(' ')
        .match(/-?\d+(\.\d+)?/g)
        ?.map(Number) ?? [];
    expect(numbers.length).toBeGreaterThan(800);
    expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...numbers)).toBeLessThanOrEqual(920);
  });

  test('fits a telephone', async () => {
    await page.setViewportSize({ width: 390, height: 800 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  });
});
