import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Vertex } from '../../src/graph/vertex.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { BuildError } from '../../src/util/build-error.ts';
import { definitionOf, fakeBuild, MemoryCache, step } from './fake-build.ts';

const place = {
  source: { name: 'Dockerfile', text: 'FROM a\nRUN b\n' },
  range: { start: { line: 2, column: 1 }, end: { line: 2, column: 6 } },
};

function chain(length: number): Vertex[] {
  const vertices: Vertex[] = [];
  for (let index = 0; index < length; index++) {
    const previous = vertices.at(-1);
    vertices.push(step('mkdir', `s${index}`, { inputs: previous === undefined ? [] : [previous] }));
  }
  return vertices;
}

describe('order and slots', () => {
  test('without a target there is nothing to do', async () => {
    const { result } = await fakeBuild({ vertices: [], target: undefined }).solved;
    expect(result).toBeUndefined();
  });

  test('a chain of 50 with limit 1 ends: a slot is held around run alone', async () => {
    const build = fakeBuild(definitionOf(...chain(50)), { parallelism: 1 });
    await build.solved;
    expect(build.ran).toEqual(chain(50).map(({ meta }) => meta.name));
  });

  test('a chain of 2000 needs no deep stack', async () => {
    const build = fakeBuild(definitionOf(...chain(2000)), { run: (name) => name });
    expect((await build.solved).result).toBe('s1999');
  });

  test('a result is told before a step that stands on it begins; what a hit makes needless is not told', async () => {
    const vertices = chain(3);
    const cache = new MemoryCache();
    const story: string[] = [];
    const one = async (run: (name: string) => string): Promise<unknown> => {
      story.length = 0;
      const onResult = (_: unknown, result: string): void => void story.push(`told ${result}`);
      return fakeBuild(definitionOf(...vertices), { cache, run, onResult }).solved.catch(String);
    };
    const said = (name: string): string => {
      story.push(`run ${name}`);
      return name;
    };
    await one((name) => {
      if (name === 's2') throw new Error('broken');
      return said(name);
    });
    expect(story).toEqual(['run s0', 'told s0', 'run s1', 'told s1']);
    await one(said);
    expect(story).toEqual(['told s1', 'run s2', 'told s2']);
    await one(said);
    expect(story).toEqual(['told s2']);
  });

  test('each step of a diamond runs once, and only what the target needs', async () => {
    const a = step('mkdir', 'a');
    const [b, c] = [step('mkdir', 'b', { inputs: [a] }), step('mkdir', 'c', { inputs: [a] })];
    const other = step('mkdir', 'other', { inputs: [a] });
    const d = step('mkdir', 'd', { inputs: [b, c] });
    const build = fakeBuild(definitionOf(a, b, c, other, d));
    const { result, results, keys } = await build.solved;
    expect(result).toBe('d(b(a()),c(a()))');
    expect(build.ran.toSorted()).toEqual(['a', 'b', 'c', 'd']);
    expect(results.size).toBe(4);
    expect(new Set(keys.values()).size).toBe(4);
  });

  test('an input that a step uses twice is passed twice', async () => {
    const a = step('mkdir', 'a');
    const build = fakeBuild(definitionOf(a, step('mkdir', 'b', { inputs: [a, a] })));
    expect((await build.solved).result).toBe('b(a(),a())');
    expect(build.ran).toEqual(['a', 'b']);
  });

  test('two independent branches overlap, and not more than the limit do', async () => {
    const leaves = ['a', 'b', 'c', 'd'].map((name) => step('mkdir', name));
    const definition = definitionOf(...leaves, step('mkdir', 'all', { inputs: leaves }));
    const both = fakeBuild(definition, { parallelism: 2, run: (name) => sleep(5, name) });
    await both.solved;
    expect(both.peak()).toBe(2);
    const single = fakeBuild(definition, { parallelism: 1, run: (name) => sleep(1, name) });
    await single.solved;
    expect(single.peak()).toBe(1);
  });

  test('a step that waits for what others hold takes no slot, and frees what it held after its run', async () => {
    const leaves = ['waits', 'goes'].map((name) => step('mkdir', name));
    const gone = Promise.withResolvers<void>();
    const held = new Set<string>();
    const build = fakeBuild(definitionOf(...leaves, step('mkdir', 'all', { inputs: leaves })), {
      parallelism: 1,
      reserve: async (name) => {
        if (name === 'waits') await gone.promise;
        held.add(name);
        return { [Symbol.dispose]: () => void held.delete(name) };
      },
      run: (name, _inputs, context) => {
        expect(held.has(name)).toBe(true);
        expect(context.held).toBeDefined();
        if (name === 'goes') gone.resolve();
        return name;
      },
    });
    await build.solved;
    expect(build.ran).toEqual(['goes', 'waits', 'all']);
    expect(held.size).toBe(0);
  });

  test('what a step holds is free again when it fails, and when the build ends while it waits', async () => {
    const held = new Set<string>();
    const broken = fakeBuild(definitionOf(step('mkdir', 'broken')), {
      reserve: (name) => {
        held.add(name);
        return Promise.resolve({ [Symbol.dispose]: () => void held.delete(name) });
      },
      run: () => Promise.reject(new Error('broken')),
    });
    await expect(broken.solved).rejects.toThrow('broken');
    expect(held.size).toBe(0);
  });

  test('a step that cannot run here is told before those that it needs are run', async () => {
    const cache = new MemoryCache();
    const [a, b, c] = [step('mkdir', 'a'), step('mkdir', 'b'), step('mkdir', 'c')];
    const needs = step('mkdir', 'refused', { inputs: [a] });
    const check = (name: string): void => {
      if (name === 'refused') throw new BuildError('SANDBOX_UNAVAILABLE', 'not here');
    };
    const first = fakeBuild(definitionOf(a, needs, step('mkdir', 'top', { inputs: [needs] })), {
      cache,
      check,
    });
    await expect(first.solved).rejects.toMatchObject({ code: 'SANDBOX_UNAVAILABLE' });
    expect(first.ran).toEqual([]);
    // Known as it is, or perhaps by content: then it is not asked.
    await fakeBuild(definitionOf(a, needs), { cache }).solved;
    const known = fakeBuild(definitionOf(a, needs, step('mkdir', 'top', { inputs: [needs] })), {
      cache,
      check,
    });
    await known.solved;
    expect(known.ran).toEqual(['top']);
    const near = fakeBuild(definitionOf(b, c, step('mkdir', 'refused', { inputs: [b, c] })), {
      cache,
      check,
    });
    await near.solved;
    expect(near.ran.toSorted()).toEqual(['b', 'c', 'refused']);
    // To be run anew it is, whatever is known.
    const anew = step('mkdir', 'refused', { inputs: [a], meta: { ignoreCache: true } });
    await expect(fakeBuild(definitionOf(a, anew), { cache, check }).solved).rejects.toMatchObject({
      code: 'SANDBOX_UNAVAILABLE',
    });
  });

  test('another target than the definition names', async () => {
    const [a, b] = chain(2) as [Vertex, Vertex];
    const build = fakeBuild(definitionOf(a, b), { target: a.digest });
    expect((await build.solved).result).toBe('s0()');
    await expect(fakeBuild(definitionOf(a, b), { target: digestOf('none') }).solved).rejects.toThrow(
      TypeError,
    );
  });
});

describe('the cache', () => {
  test('when the target is known nothing else is looked up or run', async () => {
    const cache = new MemoryCache();
    const definition = definitionOf(...chain(4));
    const { result } = await fakeBuild(definition, { cache }).solved;
    cache.lookups.length = 0;
    const again = fakeBuild(definition, { cache });
    expect((await again.solved).result).toBe(result);
    expect(again.ran).toEqual([]);
    expect(cache.lookups).toHaveLength(1);
    expect(again.states()).toEqual(['s0:cached', 's1:cached', 's2:cached', 's3:cached']);
  });

  test('a new last step runs on the known one before it', async () => {
    const cache = new MemoryCache();
    const known = chain(3);
    await fakeBuild(definitionOf(...known), { cache }).solved;
    const last = step('mkdir', 'last', { inputs: known.slice(-1) });
    const build = fakeBuild(definitionOf(...known, last), { cache });
    await build.solved;
    expect(build.states()).toEqual(['s0:cached', 's1:cached', 's2:cached', 'last:running', 'last:done']);
    expect(build.reasonOf('last')).toBe('no record of this step');
  });

  test('a hit does not hide what another branch still asks for', async () => {
    const cache = new MemoryCache();
    const a = step('mkdir', 'a');
    const b = step('mkdir', 'b', { inputs: [a] });
    await fakeBuild(definitionOf(a, b), { cache }).solved;
    for (const [key, { result }] of cache.records) if (result === 'a()') cache.records.delete(key);
    const c = step('mkdir', 'c', { inputs: [a] });
    const build = fakeBuild(definitionOf(a, b, c, step('mkdir', 'd', { inputs: [b, c] })), { cache });
    await build.solved;
    expect(build.ran).toEqual(['a', 'c', 'd']);
    expect(build.states().toSorted()).toEqual(
      ['a:done', 'a:running', 'b:cached', 'c:done', 'c:running', 'd:done', 'd:running'].toSorted(),
    );
  });

  test('a context always runs, and its consumers are known by content', async () => {
    const cache = new MemoryCache();
    const base = step('mkdir', 'base');
    const context = step('context', 'context');
    const copy = step('copy', 'copy', { inputs: [base, context] });
    const definition = definitionOf(base, context, copy, step('mkdir', 'top', { inputs: [copy] }));
    const run = (files: string) => (name: string) => (name === 'context' ? files : `${name}:${files}`);
    await fakeBuild(definition, { cache, run: run('one') }).solved;
    const same = fakeBuild(definition, { cache, run: run('one') });
    await same.solved;
    expect(same.ran).toEqual(['context']);
    expect(same.states()).toEqual([
      'context:running',
      'context:done',
      'base:cached',
      'copy:cached',
      'top:cached',
    ]);
    const changed = fakeBuild(definition, { cache, run: run('two') });
    expect((await changed.solved).result).toBe('top:two');
    expect(changed.ran).toEqual(['context', 'copy', 'top']);
    expect(changed.reasonOf('copy')).toBe('its inputs changed: context');
    expect(changed.reasonOf('top')).toBe('a step that it builds on is run: copy');
  });

  test('what cannot be keyed is run in every build, and so is what stands on it', async () => {
    const cache = new MemoryCache();
    const context = step('context', 'context');
    const odd = step('mkdir', 'odd', { inputs: [context] });
    const definition = definitionOf(context, odd, step('mkdir', 'top', { inputs: [odd] }));
    for (const _ of [1, 2]) {
      const build = fakeBuild(definition, { cache });
      const { keys } = await build.solved;
      expect(build.ran).toEqual(['context', 'odd', 'top']);
      expect(keys.size).toBe(0);
    }
    expect(cache.records.size).toBe(0);
  });

  test('early cutoff: a step that yields what it did before leaves its reader cached', async () => {
    const cache = new MemoryCache();
    const build = async (source: string): Promise<string[]> => {
      const base = step('mkdir', 'base');
      const maker = step('mkdir', source);
      const copy = step('copy', 'copy', { inputs: [base, maker] });
      const top = step('mkdir', 'top', { inputs: [copy] });
      const fake = fakeBuild(definitionOf(base, maker, copy, top), {
        cache,
        run: (name) => (name.startsWith('make') ? 'binary' : name),
      });
      await fake.solved;
      return fake.ran;
    };
    expect((await build('make one')).toSorted()).toEqual(['base', 'copy', 'make one', 'top']);
    expect(await build('make two')).not.toContain('copy');
    // The hit was recorded under the definition too: now the target is found at once.
    expect(await build('make two')).toEqual([]);
  });

  describe('what stands on a step that yields what it did before', () => {
    /** first/edit, second on it, third on that; a result's content is its last part without what stands after a dot. */
    function edits(cache: MemoryCache, seen: string[] = []) {
      return async (
        edit: string,
        made: (name: string) => string,
      ): Promise<[string[], string | undefined]> => {
        const first = step('exec', `first ${edit}`, { inputs: [step('mkdir', 'base')] });
        const second = step('exec', 'second', { inputs: [first] });
        const third = step('exec', 'third', { inputs: [second] });
        const fake = fakeBuild(definitionOf(step('mkdir', 'base'), first, second, third), {
          cache,
          run: (name, inputs) => (inputs.length === 0 ? name : `${inputs.join('')}/${made(name)}`),
          content: (name, input) => {
            seen.push(`${name} reads ${input}`);
            return input.split('/').at(-1)?.replace(/\..*/, '') ?? '';
          },
        });
        const { result } = await fake.solved;
        return [fake.ran, result];
      };
    }

    test('is cached, and put on what the step has yielded now', async () => {
      const build = edits(new MemoryCache());
      const made = (name: string): string => (name.startsWith('first') ? `same.${name.slice(6)}` : name);
      expect(await build('a', made)).toEqual([
        ['base', 'first a', 'second', 'third'],
        'base/same.a/second/third',
      ]);
      expect(await build('b', made)).toEqual([['first b'], 'base/same.b/second/third']);
      // Recorded under the definition too: now the target is found at once.
      expect(await build('b', made)).toEqual([[], 'base/same.b/second/third']);
      expect(await build('c', made)).toEqual([['first c'], 'base/same.c/second/third']);
    });

    test('is run where the content is another, up to where it is the same again', async () => {
      const build = edits(new MemoryCache());
      const made = (name: string): string => (name === 'second' ? 'same' : name.replace(' ', ''));
      await build('a', made);
      expect(await build('b', made)).toEqual([['first b', 'second'], 'base/firstb/same/third']);
      // And back: by now both contents are known.
      expect((await build('a', made))[0]).toEqual([]);
    });

    test('nothing is looked at in a first build, nor for a step whose text has changed', async () => {
      const seen: string[] = [];
      const build = edits(new MemoryCache(), seen);
      await build('a', (name) => name);
      expect(seen).toEqual([]);
      await build('b', (name) => name);
      expect(seen.filter((line) => line.startsWith('first'))).toEqual([]);
      expect(seen).toContain('second reads base/first b');
    });
  });

  test('contents are only looked at where a record could match', async () => {
    const cache = new MemoryCache();
    const seen: string[] = [];
    const base = step('mkdir', 'base');
    const maker = step('mkdir', 'maker');
    const copy = step('copy', 'copy', { inputs: [base, maker] });
    const build = fakeBuild(definitionOf(base, maker, copy), {
      cache,
      run: (name) => {
        seen.push(`run ${name}`);
        return name;
      },
      content: (_name, input) => {
        seen.push(`read ${input}`);
        return input;
      },
    });
    await build.solved;
    expect(seen.slice(-2)).toEqual(['run copy', 'read maker']);
  });

  test('a lost result is made again and said to be lost', async () => {
    const records = new MemoryCache();
    const definition = definitionOf(...chain(1));
    await fakeBuild(definition, { cache: records }).solved;
    const lost = new (class extends MemoryCache {
      override readonly records = records.records;
      override lookup(): Promise<undefined> {
        return Promise.resolve(undefined);
      }
      override claim(): Promise<{ readonly lease: AsyncDisposable }> {
        return Promise.resolve({ lease: { [Symbol.asyncDispose]: () => Promise.resolve() } });
      }
    })();
    const build = fakeBuild(definition, { cache: lost });
    await build.solved;
    expect(build.ran).toEqual(['s0']);
    expect(build.reasonOf('s0')).toBe('its recorded result is no longer there');
  });

  test('the same step in two builds at once runs once', async () => {
    const cache = new MemoryCache();
    const definition = definitionOf(...chain(2));
    const run = (name: string): Promise<string> => sleep(5, name);
    const builds = [fakeBuild(definition, { cache, run }), fakeBuild(definition, { cache, run })];
    await Promise.all(builds.map(({ solved }) => solved));
    expect(builds.flatMap(({ ran }) => ran)).toEqual(['s0', 's1']);
    expect(cache.leased).toBe(0);
  });

  test('two vertices with one key run once, also with one slot', async () => {
    const one = step('context', 'one');
    const two = step('context', 'two');
    const base = step('mkdir', 'base');
    const copies = [one, two].map((context) => step('copy', 'copy', { inputs: [base, context] }));
    const build = fakeBuild(
      definitionOf(one, two, base, ...copies, step('mkdir', 'top', { inputs: copies })),
      {
        parallelism: 1,
        run: (name) => (name === 'one' || name === 'two' ? 'same files' : name),
      },
    );
    await build.solved;
    expect(build.ran.filter((name) => name === 'copy')).toHaveLength(1);
  });
});

describe('steps to be run anew', () => {
  const anew = { meta: { ignoreCache: true } };

  test('run although known, are recorded, and so is what stands on them', async () => {
    const cache = new MemoryCache();
    let time = 0;
    const run = (name: string, inputs: readonly string[]): string => `${name}${time}(${inputs.join()})`;
    const build = async (more: object): Promise<string[]> => {
      time++;
      const a = step('mkdir', 'a', more);
      const b = step('mkdir', 'b', { inputs: [a] });
      const fake = fakeBuild(definitionOf(a, b), { cache, run });
      expect((await fake.solved).result).toBe(
        `b${fake.ran.length > 0 ? time : time - 1}(a${fake.ran.length > 0 ? time : time - 1}())`,
      );
      return fake.ran;
    };
    expect(await build({})).toEqual(['a', 'b']);
    expect(await build(anew)).toEqual(['a', 'b']);
    expect(await build({})).toEqual([]);
  });

  test('leave cached what reads the same content of them, but never what stands on another result', async () => {
    const cache = new MemoryCache();
    let output = 'one';
    const build = async (): Promise<{ ran: string[]; result: string | undefined }> => {
      const base = step('mkdir', 'base');
      const maker = step('mkdir', 'maker', anew);
      const copy = step('copy', 'copy', { inputs: [base, maker] });
      const fake = fakeBuild(definitionOf(base, maker, copy), {
        cache,
        run: (name, inputs) => (name === 'maker' ? output : `${name}(${inputs.join()})`),
      });
      return { result: (await fake.solved).result, ran: fake.ran };
    };
    expect((await build()).ran.toSorted()).toEqual(['base', 'copy', 'maker']);
    expect(await build()).toEqual({ ran: ['maker'], result: 'copy(base(),one)' });
    output = 'two';
    expect(await build()).toEqual({ ran: ['maker', 'copy'], result: 'copy(base(),two)' });
    output = 'one';
    expect(await build()).toEqual({ ran: ['maker'], result: 'copy(base(),one)' });
  });
});

describe('a step that stands on one run anew', () => {
  test('is run and not served from the record of before, when it cannot tell contents', async () => {
    const cache = new MemoryCache();
    let time = 0;
    const build = async (ignoreCache: boolean): Promise<string[]> => {
      time++;
      const a = step('mkdir', 'a', { meta: { ignoreCache } });
      const b = step('mkdir', 'b', { inputs: [a] });
      const c = step('mkdir', 'c', { inputs: [b] });
      const fake = fakeBuild(definitionOf(a, b, c), { cache, run: (name) => `${name}${time}` });
      await fake.solved;
      return [...fake.ran, fake.reasonOf('c') ?? ''];
    };
    await build(false);
    expect(await build(true)).toEqual(['a', 'b', 'c', 'a step that it builds on is run: a']);
  });

  test('a context that is not to be cached taints nobody: its content decides', async () => {
    const cache = new MemoryCache();
    const context = step('context', 'context', { meta: { ignoreCache: true } });
    const base = step('mkdir', 'base');
    const copy = step('copy', 'copy', { inputs: [base, context] });
    const definition = definitionOf(base, context, copy);
    await fakeBuild(definition, { cache }).solved;
    const again = fakeBuild(definition, { cache });
    await again.solved;
    expect(again.ran).toEqual(['context']);
  });
});

describe('failures', () => {
  test('the first one stops the others, wins, and has its line', async () => {
    const bad = step('mkdir', 'bad', { meta: { source: place } });
    const slow = step('mkdir', 'slow');
    const never = step('mkdir', 'never', { inputs: [bad] });
    const build = fakeBuild(definitionOf(bad, slow, never, step('mkdir', 'top', { inputs: [never, slow] })), {
      run: async (name, _inputs, { signal }) => {
        if (name === 'bad') {
          await sleep(5);
          throw new BuildError('STEP_FAILED', 'status 1');
        }
        await sleep(60_000, undefined, { signal });
        return name;
      },
    });
    await expect(build.solved).rejects.toMatchObject({ code: 'STEP_FAILED', source: place });
    expect(build.states().slice(0, 2).toSorted()).toEqual(['bad:running', 'slow:running']);
    expect(build.states().slice(2)).toEqual(['bad:failed', 'slow:cancelled']);
  });

  test('what is no BuildError passes through', async () => {
    const bug = new RangeError('a bug');
    const build = fakeBuild(definitionOf(...chain(2)), {
      run: () => {
        throw bug;
      },
    });
    await expect(build.solved).rejects.toBe(bug);
  });

  test('a disk that is full is no bug, and is told at the line of the step', async () => {
    const full = { code: 'ENOSPC', syscall: 'write' };
    const build = fakeBuild(definitionOf(step('mkdir', 'one', { meta: { source: place } })), {
      run: () => {
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), full);
      },
    });
    await expect(build.solved).rejects.toMatchObject({ code: 'DISK_FULL', source: place });
  });

  test('a failure to read an input belongs to the reader', async () => {
    const context = step('context', 'context');
    const copy = step('copy', 'copy', { inputs: [step('mkdir', 'base'), context], meta: { source: place } });
    const build = fakeBuild(definitionOf(step('mkdir', 'base'), context, copy), {
      content: () => {
        throw new BuildError('COPY_SOURCE_MISSING', 'no such file');
      },
    });
    await expect(build.solved).rejects.toMatchObject({ code: 'COPY_SOURCE_MISSING', source: place });
    expect(build.states()).toEqual(['context:running', 'context:done', 'copy:failed']);
  });

  test('a step that ended is recorded although another failed, and no lease is left', async () => {
    const cache = new MemoryCache();
    const [good, bad] = [step('mkdir', 'good'), step('mkdir', 'bad')];
    const build = fakeBuild(definitionOf(good, bad, step('mkdir', 'top', { inputs: [good, bad] })), {
      cache,
      run: async (name) => {
        if (name === 'bad') throw new BuildError('STEP_FAILED', 'status 1');
        await sleep(10);
        return name;
      },
    });
    await expect(build.solved).rejects.toMatchObject({ code: 'STEP_FAILED' });
    expect([...cache.records.values()].map(({ result }) => result)).toEqual(['good']);
    expect(cache.leased).toBe(0);
  });

  test('a result that cannot be recorded fails the build', async () => {
    const cache = new MemoryCache();
    cache.record = () => Promise.reject(new BuildError('DISK_FULL', 'no space'));
    const build = fakeBuild(definitionOf(...chain(1)), { cache });
    await expect(build.solved).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(build.states()).toEqual(['s0:running', 's0:done']);
    expect(cache.leased).toBe(0);
  });

  test('an abort is INTERRUPTED, and it waits for what is running', async () => {
    const controller = new AbortController();
    let cleaned = false;
    const build = fakeBuild(definitionOf(...chain(3)), {
      signal: controller.signal,
      run: async (_name, _inputs, { signal }) => {
        await sleep(60_000, undefined, { signal }).catch(() => undefined);
        await sleep(10);
        cleaned = true;
        throw new Error('killed');
      },
    });
    setTimeout(() => controller.abort(), 5);
    await expect(build.solved).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(cleaned).toBe(true);
    expect(build.states()).toEqual(['s0:running', 's0:cancelled']);
  });

  test('an abort before the start runs nothing', async () => {
    const build = fakeBuild(definitionOf(...chain(2)), { signal: AbortSignal.abort() });
    await expect(build.solved).rejects.toMatchObject({ code: 'INTERRUPTED' });
    expect(build.ran).toEqual([]);
  });
});
