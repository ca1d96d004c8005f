import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { activeAt, checkLanguageRow, mergeRows, transitionRows } from './language.js';

describe('language rows', () => {
  it('give every frame its text back', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('reach', 'grasp', 'lift'), { minLength: 1, maxLength: 60 }),
        fc.constantFrom(3, 5, 30),
        (texts, fps) => {
          const rows = transitionRows(texts, 'subtask', fps).map((row) => ({
            ...row,
            timestamp: Math.fround(row.timestamp),
          }));
          texts.forEach((text, t) => {
            expect(activeAt(rows, 'subtask', t / fps)?.content).toBe(text);
          });
          expect(rows.length).toBeLessThanOrEqual(texts.length);
        },
      ),
    );
  });

  it('are kept apart by style and sorted by time', () => {
    const rows = mergeRows(transitionRows(['a', 'b'], 'subtask', 1), transitionRows(['p', 'p'], 'plan', 1));
    expect(rows.map((row) => row.timestamp)).toEqual([0, 0, 1]);
    expect(activeAt(rows, 'plan', 1)?.content).toBe('p');
    expect(activeAt(rows, 'subtask', 1)?.content).toBe('b');
    expect(activeAt(rows, 'motion', 1)).toBeUndefined();
  });

  it('know which style goes where and which needs a camera', () => {
    const cameras = new Set(['observation.images.third']);
    const row = { role: 'assistant', content: 'x', style: 'plan', camera: null };
    expect(checkLanguageRow(row, 'persistent', cameras)).toBeUndefined();
    expect(checkLanguageRow(row, 'event', cameras)).toContain('does not belong');
    expect(checkLanguageRow({ ...row, style: null }, 'event', cameras)).toBeUndefined();
    expect(checkLanguageRow({ ...row, style: 'vqa' }, 'event', cameras)).toContain('needs a camera');
    expect(
      checkLanguageRow({ ...row, style: 'vqa', camera: 'observation.images.third' }, 'event', cameras),
    ).toBeUndefined();
    expect(checkLanguageRow({ ...row, camera: 'observation.images.third' }, 'persistent', cameras)).toContain(
      'may not name',
    );
    expect(checkLanguageRow({ ...row, role: '' }, 'persistent', cameras)).toContain('role');
  });
});
