import { describe, expect, test } from 'vitest';
import { coloursFor, formatDuration, formatInterval, formatTable, type Output, Progress } from './terminal.js';

function recorder(isTTY: boolean): Output & { text: string } {
  return {
    text: '',
    isTTY,
    write(text: string) {
      this.text += text;
    },
  };
}

test.each([
  [0, '0.0 s'],
  [9.94, '9.9 s'],
  [48.4, '48 s'],
  [200, '3 min 20 s'],
  [3599.6, '1 h 0 min'],
  [7500, '2 h 5 min'],
])('%f seconds read %s', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

test('intervals are in percent', () => expect(formatInterval({ low: 0.7333, high: 0.883 })).toBe('73-88'));

test('tables align and end without spaces', () => {
  const rows = [
    ['task', 'n'],
    ['carrot', '100'],
  ];
  expect(formatTable(rows, [1])).toBe('task      n\ncarrot  100');
  expect(formatTable(rows)).toBe('task    n\ncarrot  100');
});

describe('progress', () => {
  function at(isTTY: boolean): { progress: Progress; out: ReturnType<typeof recorder>; time: { now: number } } {
    const out = recorder(isTTY);
    const time = { now: 100 };
    return { progress: new Progress('evaluate', 100, out, () => time.now), out, time };
  }

  test('is silent for three seconds, then a line every ten in a pipe, without cursor codes', () => {
    const { progress, out, time } = at(false);
    for (let done = 0; done <= 80; done++) {
      time.now = 100 + done * 0.5;
      progress.update(done, 'carrot');
    }
    const lines = out.text.trim().split('\n');
    expect(lines[0]).toBe('evaluate  6/100  6 %  3.0 s, about 47 s left  carrot');
    expect(lines).toHaveLength(4);
    expect(['\r', '\x1b'].filter((code) => out.text.includes(code))).toEqual([]);
  });

  test('the estimate leaves out what an earlier run has done', () => {
    const { progress, out, time } = at(false);
    progress.update(50);
    time.now += 10;
    progress.update(60);
    expect(out.text).toBe('evaluate  60/100  60 %  10 s, about 40 s left\n');
  });

  test('redraws one line on a terminal and clears it', () => {
    const { progress, out, time } = at(true);
    progress.update(0);
    time.now += 4;
    progress.update(10);
    progress.finish('100 episodes');
    const line = 'evaluate  10/100  10 %  4.0 s, about 36 s left';
    expect(out.text).toBe(`\r\x1b[2K${line}\r\x1b[2Kevaluate  100 episodes  4.0 s\n`);
  });
});

test('colour only on a terminal, and never with NO_COLOR', () => {
  const before = process.env.NO_COLOR;
  try {
    delete process.env.NO_COLOR;
    expect(coloursFor(recorder(false)).red('x')).toBe('x');
    expect(coloursFor(recorder(true)).red('x')).toBe('\x1b[31mx\x1b[39m');
    process.env.NO_COLOR = '1';
    expect(coloursFor(recorder(true)).red('x')).toBe('x');
  } finally {
    if (before === undefined) delete process.env.NO_COLOR;
    else process.env.NO_COLOR = before;
  }
});
