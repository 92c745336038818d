import { describe, expect, test } from 'vitest';
import type { BuildOutcome, ProgressEvent } from '../../src/index.ts';
import { LogTail } from '../../src/cli/log-tail.ts';
import { reportFailedLogs } from '../../src/cli/report.ts';
import { JsonRenderer } from '../../src/cli/render/json.ts';
import { PlainRenderer } from '../../src/cli/render/plain.ts';
import { TtyRenderer } from '../../src/cli/render/tty.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { expectGolden } from '../support/golden.ts';
import { at, badBuild, goodBuild, log, transfer, vertex } from './events.ts';
import { controls, withoutSteering } from './controls.ts';
import { TerminalScreen } from './terminal-screen.ts';

const failed: BuildOutcome = { ok: false, error: new BuildError('STEP_FAILED', 'no') };

function plain(events: readonly ProgressEvent[], outcome: BuildOutcome = { ok: true }): string {
  let text = '';
  const renderer = new PlainRenderer((part) => (text += part), { color: false });
  for (const event of events) renderer.onEvent(event);
  renderer.finish(outcome);
  return text;
}

describe('plain (U-4)', () => {
  test('a build', () => expectGolden('cli/plain-good.txt', plain(goodBuild)));
  test('a failure', () => expectGolden('cli/plain-bad.txt', plain(badBuild, failed)));

  test('every log line appears once, whatever the order of events', () => {
    const steps = ['a', 'b', 'c'];
    const events: ProgressEvent[] = steps.map((name) => vertex(name, 'running', { seconds: 0 }));
    for (let line = 0; line < 30; line += 1) {
      events.push(log(steps[line % 3] ?? 'a', line, `line-${line}\n`));
    }
    for (const name of steps) events.push(vertex(name, 'done', { seconds: 31 }));
    const text = plain(events);
    for (let line = 0; line < 30; line += 1)
      expect(text.match(new RegExp(` line-${line}$`, 'gm'))).toHaveLength(1);
    // Whoever reads the numbers alone can tell the steps apart.
    for (const [index, name] of steps.entries()) {
      const number = new RegExp(`^#(\\d+) ${name}$`, 'm').exec(text)?.[1];
      const lines = text
        .split('\n')
        .filter((line) => line.startsWith(`#${number} `) && line.includes('line-'));
      expect(lines.map((line) => Number(/line-(\d+)/.exec(line)?.[1]) % 3)).toEqual(Array(10).fill(index));
    }
  });

  test('what a step says while another has its turn is not kept without limit', () => {
    let text = '';
    const renderer = new PlainRenderer((part) => (text += part), { color: false });
    renderer.onEvent(vertex('a', 'running', { seconds: 0 }));
    renderer.onEvent(vertex('b', 'running', { seconds: 0 }));
    let most = 0;
    for (let line = 0; line < 3000; line += 1) {
      renderer.onEvent(log('b', 0, `${'x'.repeat(99)}\n`));
      most = Math.max(most, (line + 1) * 100 - text.length);
    }
    expect(most).toBeLessThan(70_000);
    expect(text).toMatch(/^#1 a\n#1 \.\.\.\n\n#2 b\n/);
  });

  test('a step that stays silent is named after its turn has come', () => {
    let text = '';
    const renderer = new PlainRenderer((part) => (text += part), { color: false });
    renderer.onEvent(vertex('a', 'running', { seconds: 0 }));
    renderer.onEvent(vertex('b', 'running', { seconds: 0 }));
    renderer.tick(at(4));
    expect(text).not.toContain('#2 b');
    renderer.tick(at(6));
    expect(text).toBe('#1 a\n#1 ...\n\n#2 b\n');
  });

  test('control sequences in names and errors are not passed on', () => {
    const events = [
      vertex('x', 'running', { seconds: 0, name: 'evil\u001b[2J\u001b]0;t\u0007\nname' }),
      vertex('x', 'failed', { seconds: 1, error: 'bad\u001b[1A\nthing' }),
    ];
    expect(plain(events, failed)).toBe('#1 evil name\n#1 ERROR: bad thing\n');
  });

  test('what was on its way beside a failure is no news after it', () => {
    const text = plain(
      [
        vertex('a', 'running', { seconds: 0 }),
        transfer('a', 'pulling 1', { seconds: 1, current: 5, done: true }),
        vertex('a', 'failed', { seconds: 2, error: 'no space left' }),
        transfer('a', 'pulling 2', { seconds: 3, current: 5, done: true }),
      ],
      failed,
    );
    expect(text).toBe('#1 a\n#1 pulling 1 5B done\n#1 ERROR: no space left\n');
  });

  test('long transfers are told every five seconds', () => {
    const blob = (seconds: number, done = false): ProgressEvent =>
      transfer('a', 'sha256:0', { seconds, current: seconds * 1_000_000, total: 20_000_000, done });
    const text = plain([
      vertex('a', 'running', { seconds: 0 }),
      ...Array.from({ length: 12 }, (_, second) => blob(second)),
      blob(20, true),
      vertex('a', 'done', { seconds: 20 }),
    ]);
    expect(text).toBe(
      '#1 a\n#1 sha256:0 5MB / 20MB\n#1 sha256:0 10MB / 20MB\n#1 sha256:0 20MB done\n#1 DONE 20.0s\n',
    );
  });
});

describe('tty (U-5)', () => {
  function play(
    events: readonly ProgressEvent[],
    outcome: BuildOutcome,
    size: { columns: number; rows: number },
  ): readonly string[] {
    const screen = new TerminalScreen(size.columns, size.rows);
    let now = at(0);
    const frames: string[] = [];
    const renderer = new TtyRenderer(screen, { now: () => now });
    for (const event of events) {
      renderer.onEvent(event);
      if (event.type !== 'diagnostic') {
        const time = event.type === 'vertex' ? event.time : event.time;
        if (time !== now) frames.push(draw());
        now = time;
      }
    }
    function draw(): string {
      renderer.draw();
      return screen.text();
    }
    frames.push(draw());
    renderer.finish(outcome);
    frames.push(screen.text());
    return frames;
  }

  test('a build in the middle and at its end', () => {
    const frames = play(goodBuild, { ok: true }, { columns: 70, rows: 24 });
    expectGolden('cli/tty-good.txt', [frames.at(5), frames.at(-5), frames.at(-1)].join('\n----\n'));
  });

  test.each([
    ['run=1,2,255:error=magenta', ['38;2;1;2;255', '35']],
    ['error=light-red', ['34', '91']],
    // What is not understood stays as it was.
    ['run=300,0,0:error=pnik:cancel:x=red', ['34', '31']],
    [undefined, ['34', '31']],
  ])('U-3: colours of BUILDKIT_COLORS=%s', (colors, [done, error]) => {
    const drawn = (color: boolean): string => {
      let text = '';
      const write = (part: string): void => void (text += part);
      const renderer = new TtyRenderer({ write, color, columns: 70, rows: 24 }, { now: () => at(1), colors });
      renderer.onEvent(vertex('good', 'running', { seconds: 0 }));
      renderer.onEvent(vertex('good', 'done', { seconds: 1 }));
      renderer.onEvent(vertex('bad', 'running', { seconds: 0 }));
      renderer.onEvent(vertex('bad', 'failed', { seconds: 1, error: 'no' }));
      renderer.draw();
      return text;
    };
    expect(drawn(true)).toContain(`\x1b[${done}m => good`);
    expect(drawn(true)).toContain(`\x1b[${error}m => ERROR bad`);
    expect(drawn(false)).not.toContain('m =>');
  });

  test('a failure', () => {
    expectGolden('cli/tty-bad.txt', play(badBuild, failed, { columns: 70, rows: 24 }).at(-1) ?? '');
  });

  test('what was on its way beside a failure is no news after it', () => {
    const events = [
      vertex('a', 'running', { seconds: 0 }),
      transfer('a', 'pulling 1', { seconds: 1, current: 5, done: true }),
      vertex('a', 'failed', { seconds: 2, error: 'no space left' }),
      transfer('a', 'pulling 2', { seconds: 3, current: 5 }),
    ];
    const last = play(events, failed, { columns: 70, rows: 24 }).at(-1);
    expect(last).toContain('ERROR a');
    expect(last).not.toContain('pulling 2');
  });

  test('a frame never scrolls the screen, and never wraps', () => {
    const events: ProgressEvent[] = [];
    for (let step = 0; step < 30; step += 1) {
      events.push(vertex(`[${step}/30] RUN ${'宽'.repeat(40)}`, 'running', { seconds: step }));
      if (step < 20)
        events.push(vertex(`[${step}/30] RUN ${'宽'.repeat(40)}`, 'done', { seconds: step + 0.5 }));
      else events.push(log(`[${step}/30] RUN ${'宽'.repeat(40)}`, step, 'a\tb\n'.repeat(9)));
    }
    const screen = new TerminalScreen(40, 12);
    const renderer = new TtyRenderer(screen, { now: () => at(40) });
    for (const event of events) {
      renderer.onEvent(event);
      renderer.draw();
      expect(screen.scrolled).toBe(0);
      expect(screen.text()).toMatch(/^\[\+\] Building /);
    }
    // What runs is what is shown.
    expect(screen.text()).toContain('=> [29/30]');
    expect(screen.text()).not.toContain('=> [3/30]');
  });

  test('a terminal that becomes narrower keeps one picture', () => {
    const screen = new TerminalScreen(60, 12);
    const renderer = new TtyRenderer(screen, { now: () => at(1) });
    renderer.onEvent(vertex(`[1/1] RUN ${'x'.repeat(70)}`, 'running', { seconds: 0 }));
    renderer.draw();
    screen.resize(30);
    renderer.draw();
    expect(screen.text().match(/Building/g)).toHaveLength(1);
  });

  test('log lines cannot steer the terminal', () => {
    const screen = new TerminalScreen(60, 12);
    const renderer = new TtyRenderer(
      { write: (text) => screen.write(text), columns: 60, rows: 12, color: true },
      { now: () => at(1) },
    );
    renderer.onEvent(vertex('a', 'running', { seconds: 0 }));
    renderer.onEvent(
      log('a', 0, '\u001b[31mred\u001b[5A up \u001b]0;title\u0007\u009b2J\u001bc \u001b[?1049h end\n'),
    );
    renderer.draw();
    const sent = withoutSteering(screen.received);
    expect(sent).not.toMatch(controls);
    expect(screen.text()).toContain('=> => # red up   end');
  });
});

describe('rawjson (U-9)', () => {
  function lines(events: readonly ProgressEvent[]): readonly string[] {
    let text = '';
    const renderer = new JsonRenderer((part) => (text += part));
    for (const event of events) renderer.onEvent(event);
    renderer.finish({ ok: true });
    return text.trimEnd().split('\n');
  }

  test('a failure, and a warning', () => {
    const warning: ProgressEvent = {
      type: 'diagnostic',
      diagnostic: {
        severity: 'warning',
        rule: 'StageNameCasing',
        message: 'stage name `A` should be lower case',
        url: 'https://docs.docker.com/go/dockerfile/rule/stage-name-casing/',
        source: {
          source: { name: 'Dockerfile', text: 'FROM scratch AS A\n' },
          range: { start: { line: 1, column: 17 }, end: { line: 1, column: 18 } },
        },
      },
    };
    const all = lines([...badBuild, transfer('a', 'blob', { seconds: 1, current: 5, done: true }), warning]);
    expectGolden('cli/rawjson.jsonl', `${all.join('\n')}\n`);
    for (const line of all) expect(() => JSON.parse(line) as unknown).not.toThrow();
  });

  test('bytes of a log survive', () => {
    const bytes = Uint8Array.from([0, 255, 10, 27]);
    const [line = ''] = lines([log('a', 0, bytes)]);
    const { logs } = JSON.parse(line) as { logs: readonly { data: string }[] };
    expect(Uint8Array.from(Buffer.from(logs[0]?.data ?? '', 'base64'))).toEqual(bytes);
  });
});

describe('the log of a failed step (U-7)', () => {
  test('is repeated between rulers', () => {
    const tail = new LogTail({ limit: 20, color: false });
    for (const event of badBuild) tail.onEvent(event);
    expect(reportFailedLogs(tail.failed(), false)).toBe(
      '------\n > [3/4] RUN make all:\ncc -o a a.c\na.c:1: error: no\n------\n',
    );
  });

  test('holds the last lines only, and what had no line end', () => {
    const tail = new LogTail({ limit: 3, color: false });
    for (let line = 0; line < 9; line += 1) tail.onEvent(log('a', 0, `${line}\n`));
    tail.onEvent(log('a', 0, 'rest'));
    tail.onEvent(vertex('a', 'failed', { seconds: 1 }));
    expect(tail.failed()).toEqual([{ name: 'a', lines: ['7', '8', 'rest'] }]);
  });

  test('characters that are split over chunks stay whole', () => {
    const tail = new LogTail({ limit: 3, color: false });
    const bytes = Buffer.from('grün\n');
    for (const byte of bytes) tail.onEvent(log('a', 0, Uint8Array.of(byte)));
    tail.onEvent(vertex('a', 'failed', { seconds: 1 }));
    expect(tail.failed()[0]?.lines).toEqual(['grün']);
  });
});
