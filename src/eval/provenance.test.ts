import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commitOf, machineName } from './provenance.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dualvla-commit-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a work tree has its commit, a changed one says so', () => {
  const git = (...args: string[]): string => execFileSync('git', ['-C', folder, ...args], { encoding: 'utf8' }).trim();
  git('init', '-q');
  const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
  git(...who, 'commit', '-q', '--allow-empty', '-m', 'first');
  const commit = git('rev-parse', 'HEAD');
  expect(commitOf(folder)).toBe(commit);
  writeFileSync(join(folder, 'new.txt'), 'x');
  expect(commitOf(folder)).toBe(`${commit}-dirty`);
});

test('without a repository that git accepts it is read from the files, or unknown', () => {
  expect(commitOf(folder)).toBe('unknown');
  const commit = 'a'.repeat(40);
  mkdirSync(join(folder, '.git', 'refs', 'heads'), { recursive: true });
  writeFileSync(join(folder, '.git', 'HEAD'), 'ref: refs/heads/main\n');
  writeFileSync(join(folder, '.git', 'packed-refs'), `# pack-refs\n${commit} refs/heads/main\n`);
  expect(commitOf(folder)).toBe(commit);
});

test('the machine has cores', () => expect(machineName()).toMatch(/^\d+ cores? of /));
