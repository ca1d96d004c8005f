/**
 * The demo's report in a real browser: it opens from a disk, fetches nothing, plays its videos and fits a telephone.
 * Its numbers are made up here; no result of the project comes from this file.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Report, readDrawings, readStudyResults, renderReport } from 'dualvla/eval';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeMadeUpStudy } from '../dist/eval/study-folder.test-support.js';

const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** A second of ffmpeg's test picture. */
function testVideo(folder: string): Uint8Array {
  const path = join(folder, 'test.mp4');
  const source = ['-f', 'lavfi', '-i', 'testsrc=duration=1:size=128x128:rate=5'];
  execFileSync('ffmpeg', ['-v', 'error', ...source, '-pix_fmt', 'yuv420p', path]);
  return readFileSync(path);
}

/** One seed of three models. */
function madeUpReport(folder: string, bytes: Uint8Array): Report {
  writeMadeUpStudy(folder, {
    specialist: { successes: [16], correct: [10], reasons: false, time: 0.01 },
    base: { successes: [9], correct: [30], reasons: true, time: 0.05 },
    dualvla: { successes: [14], correct: [30], reasons: true, time: 0.03 },
  });
  const rollout = { variant: 'vm', mime: 'video/mp4', bytes, seed: 0, steps: 21 } as const;
  const task = 'google/open-drawer';
  const results = readStudyResults(folder, 'test');
  return {
    title: 'A made-up run',
    lead: 'Numbers for the test of the page, <not> "results".',
    results,
    timeline: null,
    drawings: readDrawings(results),
    pairs: [
      {
        scene: { task, variant: 'vm', split: 'test', index: 0 },
        films: [
          {
            name: 'base',
            video: {
              ...{ ...rollout, task, instruction: 'pick <b>up</b> the can', success: false },
              thoughts: [
                { at: 0, text: 'PLAN: <i>move</i>' },
                { at: 0.4, text: null },
              ],
            },
          },
          { name: 'dualvla', video: { ...rollout, task, instruction: 'open the drawer', success: true } },
        ],
      },
    ],
    stages: [
      { name: 'data', what: '600 episodes', seconds: 70 },
      { name: 'train/specialist', what: '3000 steps', seconds: 500 },
    ],
    protocol: 'Test scenes 0 to 19.',
    files: [{ what: 'demonstrations', path: 'outputs/demo/data' }],
    commands: [{ what: 'See it move:', command: 'npx dualvla rollout --task widowx/put-carrot-on-plate' }],
    facts: [{ name: 'recipe', value: 'made-up' }],
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
    writeFileSync(join(folder, 'report.html'), renderReport(madeUpReport(join(folder, 'study'), testVideo(folder))));
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

  test('shows rates with intervals, and says what follows from them', async () => {
    expect(await page.title()).toBe('A made-up run');
    const words = await page.locator('#success svg.bars .words').allTextContents();
    expect(words.slice(0, 2)).toEqual(
      ['80.0 %  (71.3-86.7)', '45.0 %  (34.8-55.8)'].map((text) => expect.stringContaining(text.slice(0, 6))),
    );
    expect(await page.locator('.figure b').first().textContent()).toBe('80 %');
    const [specialist = 0, base = 1] = await page
      .locator('#success svg.bars rect:not(.track)')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().width));
    expect(base / specialist).toBeCloseTo(45 / 80, 2);
    const story = await page.locator('#story li').allTextContents();
    expect(story[0]).toMatch(
      /^The reasoning base acts worse than the specialist .*: -35\.0 points \(seed 0 alone; .* paired scenes\)/,
    );
    expect(story[1]).toMatch(/^DualVLA acts better than the reasoning base: \+25\.0 points/);
    expect(story.join()).toMatch(/In answers to questions .* no difference from the base can be told/);
  });

  test('draws the action error of each phase, one bar a model', async () => {
    const heights = await page
      .locator('#phases svg rect')
      .evaluateAll((bars) => bars.map((bar) => bar.getBoundingClientRect().height));
    // Reaching is 0.04 for all three; grasping 0.07, 0.11 and 0.09.
    expect(heights).toHaveLength(6);
    for (const [i, value] of [0.04, 0.04, 0.04, 0.07, 0.11, 0.09].entries())
      expect((heights[i] as number) / (heights[4] as number)).toBeCloseTo(value / 0.11, 2);
    expect(await page.locator('#phases thead').textContent()).toContain('reach (60)');
  });

  test('text is text', async () => {
    expect(await page.locator('.lead').textContent()).toContain('<not> "results"');
    expect(await page.locator('.rollout q b').count()).toBe(0);
    expect(await page.locator('.thought i').count()).toBe(0);
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

  test('captions follow the film', async () => {
    const video = page.locator('video').first();
    const caption = page.locator('.thought').first();
    const seek = (at: number): Promise<void> =>
      video.evaluate((element: HTMLVideoElement, time) => {
        element.pause();
        element.currentTime = time;
      }, at);
    await seek(0.1);
    await expect.poll(() => caption.textContent()).toBe('PLAN: <i>move</i>');
    await seek(0.7);
    await expect.poll(() => caption.textContent()).toBe('(acts without reasoning)');
  });

  test('draws curves inside their axes', async () => {
    const paths = await page
      .locator('svg.loss path')
      .evaluateAll((all) => all.map((path) => path.getAttribute('d') ?? ''));
    expect(paths.length).toBeGreaterThanOrEqual(6);
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
