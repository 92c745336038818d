import { BuildError } from '../util/build-error.ts';
import { parsePattern, replacePattern, stripPrefix, stripSuffix } from './pattern.ts';

/** What a word is expanded with. */
export interface Expansion {
  /** The escape character of the file: backslash or backtick. */
  readonly escape: string;
  readonly lookup: (name: string) => string | undefined;
  /** Called for a name that has no value, also where the word has a default for it (UndefinedVar). */
  readonly onUndefined?: ((name: string) => void) | undefined;
}

/** One expanded value may have this many characters: `ENV a=$a$a` often enough would fill the memory. */
const valueLimit = 1 << 20;
const depthLimit = 100;
const specialNames = '@*#?-$!0';

/**
 * Expands variables and takes quotes and escapes off: section 1.3, L-VAR-1 to L-VAR-12. Throws DOCKERFILE_EXPANSION, without a place.
 */
export function expandWord(text: string, expansion: Expansion): string {
  return new Lexer(text, expansion).run().value;
}

/** The same, split at blanks that stand outside quotes, also at those that come out of variables (EXPOSE). */
export function expandWords(text: string, expansion: Expansion): readonly string[] {
  return new Lexer(text, expansion, { split: true }).run().words;
}

/** Expands the body of a heredoc: variables and escapes, but quotes are plain characters (L-ADD-5). */
export function expandHeredoc(text: string, expansion: Expansion): string {
  return new Lexer(text, expansion, { plainQuotes: true }).run().value;
}

class Lexer {
  private at = 0;
  private depth = 0;
  private size = 0;
  private readonly chars: readonly string[];
  private readonly expansion: Expansion;
  private readonly plainQuotes: boolean;
  private readonly split: boolean;
  private readonly words: string[] = [];
  private word: string | undefined;

  constructor(text: string, expansion: Expansion, mode: { plainQuotes?: boolean; split?: boolean } = {}) {
    this.chars = Array.from(text);
    this.expansion = expansion;
    this.plainQuotes = mode.plainQuotes ?? false;
    this.split = mode.split ?? false;
  }

  run(): { value: string; words: readonly string[] } {
    const value = this.until(undefined, false);
    if (this.word !== undefined) this.words.push(this.word);
    return { value, words: this.words };
  }

  /** Reads to `stop`, which is consumed; undefined: to the end. `raw`: the escape character stays, as patterns need it. */
  private until(stop: string | undefined, raw: boolean): string {
    const out: string[] = [];
    const top = this.split && stop === undefined;
    for (;;) {
      const char = this.chars[this.at];
      if (char === undefined) {
        if (stop === undefined) return out.join('');
        throw this.error(`syntax error: missing '${stop}'`);
      }
      if (char === stop) {
        this.at++;
        return out.join('');
      }
      if (char === "'" && !this.plainQuotes) this.add(out, this.singleQuoted(), top ? 'quoted' : undefined);
      else if (char === '"' && !this.plainQuotes)
        this.add(out, this.doubleQuoted(), top ? 'quoted' : undefined);
      else if (char === '$') this.add(out, this.dollar(), top ? 'split' : undefined);
      else if (char === this.expansion.escape) this.escaped(out, { raw, top });
      else {
        this.at++;
        this.add(out, char, top ? 'split' : undefined);
      }
    }
  }

  private escaped(out: string[], { raw, top }: { raw: boolean; top: boolean }): void {
    const escape = this.chars[this.at++] ?? '';
    const next = this.chars[this.at];
    if (next === undefined) {
      if (raw) this.add(out, escape, undefined);
      return;
    }
    this.at++;
    this.add(out, raw ? escape + next : next, top ? 'quoted' : undefined);
  }

  private add(out: string[], text: string, mode: 'quoted' | 'split' | undefined): void {
    out.push(text);
    if (mode === 'quoted') this.word = (this.word ?? '') + text;
    if (mode !== 'split') return;
    for (const part of text.split(/(\s+)/)) {
      if (/^\s+$/.test(part)) {
        if (this.word !== undefined) this.words.push(this.word);
        this.word = undefined;
      } else if (part !== '') this.word = (this.word ?? '') + part;
    }
  }

  private singleQuoted(): string {
    const end = this.chars.indexOf("'", this.at + 1);
    if (end < 0) throw this.error('unexpected end while looking for matching single quote');
    const text = this.chars.slice(this.at + 1, end).join('');
    this.at = end + 1;
    return text;
  }

  private doubleQuoted(): string {
    const out: string[] = [];
    this.at++;
    for (;;) {
      const char = this.chars[this.at];
      if (char === undefined) throw this.error('unexpected end while looking for matching double quote');
      if (char === '"') {
        this.at++;
        return out.join('');
      }
      if (char === '$') out.push(this.dollar());
      else if (char === this.expansion.escape) {
        const next = this.chars[this.at + 1];
        const escapes = next === '"' || next === '$' || next === char;
        out.push(escapes ? next : char);
        this.at += escapes ? 2 : 1;
      } else {
        out.push(char);
        this.at++;
      }
    }
  }

  private name(): string {
    const first = this.chars[this.at];
    if (first === undefined) return '';
    if (/\p{Nd}/u.test(first)) return this.take(/\p{Nd}/u);
    if (specialNames.includes(first)) return this.chars[this.at++] ?? '';
    return this.take(/[\p{L}\p{Nd}_]/u);
  }

  private take(pattern: RegExp): string {
    const start = this.at;
    for (let char = this.chars[start]; char !== undefined && pattern.test(char); char = this.chars[this.at])
      this.at++;
    return this.chars.slice(start, this.at).join('');
  }

  private plain(name: string): string {
    const value = this.expansion.lookup(name);
    if (value === undefined) this.expansion.onUndefined?.(name);
    return value ?? '';
  }

  private dollar(): string {
    this.at++;
    if (this.chars[this.at] !== '{') {
      const name = this.name();
      return name === '' ? '$' : this.limited(this.plain(name));
    }
    this.at++;
    const next = this.chars[this.at];
    if (next === undefined) throw this.error("syntax error: missing '}'");
    if ('{}:'.includes(next)) throw this.error('syntax error: bad substitution');
    if (++this.depth > depthLimit) throw this.error(`substitutions are nested more than ${depthLimit} deep`);
    const name = this.name();
    const value = this.modified(name);
    this.depth--;
    return this.limited(value);
  }

  private limited(value: string): string {
    this.size += value.length;
    if (this.size > valueLimit) throw this.error(`a value gets longer than ${valueLimit} characters`);
    return value;
  }

  private modified(name: string): string {
    const operator = this.chars[this.at++];
    switch (operator) {
      case undefined:
        throw this.error("syntax error: missing '}'");
      case '}':
        if (name === '') throw this.error('syntax error: bad substitution');
        return this.plain(name);
      case '/':
        return this.replaced(name);
      case ':': {
        const second = this.chars[this.at++];
        if (second === undefined) throw this.error("syntax error: missing '}'");
        if (!'-+?'.includes(second)) throw this.unsupported(`:${second}`);
        return this.conditional(name, second, true);
      }
      case '-':
      case '+':
      case '?':
        return this.conditional(name, operator, false);
      case '#':
      case '%':
        return this.stripped(name, operator);
      default:
        throw this.unsupported(operator);
    }
  }

  private conditional(name: string, operator: string, emptyIsUnset: boolean): string {
    const word = this.until('}', false);
    const value = this.expansion.lookup(name);
    if (value === undefined) this.expansion.onUndefined?.(name);
    const missing = value === undefined || (emptyIsUnset && value === '');
    if (operator === '-') return missing ? word : value;
    if (operator === '+') return missing ? '' : word;
    if (!missing) return value;
    const message = word !== '' ? word : `is not allowed to be ${value === undefined ? 'unset' : 'empty'}`;
    throw this.error(`${name}: ${message}`);
  }

  private stripped(name: string, operator: '#' | '%'): string {
    const longest = this.chars[this.at] === operator;
    if (longest) this.at++;
    const pattern = parsePattern(this.until('}', true), this.expansion.escape);
    const value = this.plain(name);
    return operator === '#' ? stripPrefix(value, pattern, longest) : stripSuffix(value, pattern, longest);
  }

  private replaced(name: string): string {
    const all = this.chars[this.at] === '/';
    if (all) this.at++;
    const pattern = parsePattern(this.until('/', true), this.expansion.escape);
    // Escapes stay in what is put in, as BuildKit has it; quotes are for a closing brace.
    const replacement = this.until('}', true);
    return replacePattern(this.plain(name), pattern, { replacement, all, limit: valueLimit });
  }

  private unsupported(modifier: string): BuildError {
    return this.error(`unsupported modifier (${modifier}) in substitution`);
  }

  private error(message: string): BuildError {
    return new BuildError('DOCKERFILE_EXPANSION', message);
  }
}
