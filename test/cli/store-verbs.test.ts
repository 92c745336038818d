import { describe, expect, test } from 'vitest';
import type { DiskUsage, PruneOptions, StoreCheck, UsageRecord } from '../../src/index.ts';
import { runCli } from './fake-context.ts';

const record: UsageRecord = {
  ...{ id: 'a'.repeat(64), type: 'regular', description: 'RUN x\u001b[2J', parents: [], bytes: 1_500_000 },
  ...{ createdAt: 0, lastUsedAt: Date.now() - 3 * 3_600_000, uses: 4 },
  ...{ inUse: false, shared: true, mutable: false, reclaimable: true },
};
const usage: DiskUsage = {
  records: [record],
  shared: 1_500_000,
  private: 0,
  reclaimable: 1_500_000,
  total: 1_500_000,
};
const library = { diskUsage: () => Promise.resolve(usage) };

describe('du', () => {
  test('is a table with totals, and shows nothing that a terminal would obey', async () => {
    const { stdout, status } = await runCli(['du'], { library });
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^ID +TYPE +RECLAIMABLE +SIZE +LAST USED +DESCRIPTION\naaaaaaaaaaaa +regular +true +1\.5MB\* +3 hours ago +RUN x/,
    );
    expect(stdout).toContain('Total:         1.5MB\n');
    expect(stdout).not.toContain('\u001b');
  });

  test.each([
    [['--format', 'json'], '"UsageCount":4'],
    [['--format', '{{.Type}}\\t{{ .Bytes }}'], 'regular\t1500000\n'],
    [['--format', 'table {{.Type}}\\t{{.Size}}'], 'TYPE      SIZE\nregular   1.5MB\n'],
    [['--verbose'], 'UsageCount:'],
  ])('%j', async (flags, wanted) =>
    expect((await runCli(['du', ...flags], { library })).stdout).toContain(wanted),
  );

  test.each(['{{.Sise}}', '{{if .Size}}'])(
    'a template that is not understood is told: %s',
    async (format) => {
      const { status, stderr } = await runCli(['du', '--format', format], { library });
      expect(status).toBe(2);
      expect(stderr).toContain('error[USAGE]');
    },
  );
});

describe('prune', () => {
  const pruning = (calls: PruneOptions[]) => ({
    prune: (options: PruneOptions = {}) => {
      calls.push(options);
      return Promise.resolve({ removed: [record], freed: 1_500_000, left: 0 });
    },
  });

  test('hands its flags over, and says what it freed', async () => {
    const calls: PruneOptions[] = [];
    const flags = [
      '-a',
      '--filter',
      'until=24h',
      '--keep-storage',
      '1g',
      '--min-free-space',
      '2k',
      '--reserved-space',
      '3',
    ];
    const { stdout } = await runCli(['prune', '-f', ...flags], { library: pruning(calls) });
    expect(calls).toMatchObject([
      { all: true, filters: ['until=24h'], maxUsedSpace: 1024 ** 3, minFreeSpace: 2048, reservedSpace: 3 },
    ]);
    expect(stdout).toMatch(/RUN x[^]*\nFreed: 1\.5MB\n$/);
  });

  test('without a terminal nothing goes unless --force says so; a dry run needs none', async () => {
    const calls: PruneOptions[] = [];
    const refused = await runCli(['prune'], { library: pruning(calls) });
    expect([refused.status, calls.length]).toEqual([2, 0]);
    expect((await runCli(['prune', '--dry-run'], { library: pruning(calls) })).stdout).toContain(
      'To be freed: 1.5MB',
    );
    expect(calls).toMatchObject([{ dryRun: true }]);
  });
});

describe('store check', () => {
  const result = (harmless: boolean, repaired: boolean): StoreCheck => ({
    problems: [{ code: harmless ? 'LEFTOVER' : 'BLOB_DAMAGED', path: 'p', message: 'm', harmless, repaired }],
    ...{ blobs: 1, bytes: 2, layers: 3, records: 4, images: 5 },
  });

  test.each([
    [false, false, 1, 'BLOB_DAMAGED p: m\n1 problem: '],
    [false, true, 0, 'BLOB_DAMAGED p: m (repaired)\nsound: '],
    [true, false, 0, 'LEFTOVER p: m\n'],
  ])('harmless %s, repaired %s: status %i', async (harmless, repaired, wanted, text) => {
    const checkStore = () => Promise.resolve(result(harmless, repaired));
    const { status, stdout } = await runCli(['store', 'check'], { library: { checkStore } });
    expect([status, stdout.includes(text)]).toEqual([wanted, true]);
  });

  test('another word is told', async () => {
    const { status, stderr } = await runCli(['store', 'chek'], {});
    expect(status).toBe(2);
    expect(stderr).toContain('did you mean `check`');
  });
});
