import { expect, test } from 'vitest';
import { formatRecords } from '../../src/cli/template.ts';

const records = [
  { ID: 'a', Size: 5, Tags: ['x', 'y'], Config: { Env: ['A=1'], User: '' }, Nothing: undefined },
  { ID: 'b\u001b[2J', Size: 7, Tags: [], Config: { Env: [], User: 'u' }, Nothing: undefined },
];

test.each([
  ['{{.ID}}:{{ .Size }}', 'a:5\nb:7\n'],
  ['{{.Tags}}|{{.Nothing}}|{{.Config.User}}', '[x y]||\n[]||u\n'],
  ['{{json .Tags}} {{json .Config.Env}} {{json .Nothing}}', '["x","y"] ["A=1"] null\n[] [] null\n'],
  ['{{.Config}}', '{"Env":["A=1"],"User":""}\n{"Env":[],"User":"u"}\n'],
  ['table {{.Size}}\\t{{.Tags}}', 'SIZE   TAGS\n5      [x y]\n7      []\n'],
  ['plain', 'plain\nplain\n'],
])('%s', (template, expected) => {
  expect(formatRecords(template, records)).toBe(expected);
});

test('json is one object a line, and escapes what a terminal would take for orders', () => {
  const lines = formatRecords('json', records).trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { ID: 'a' },
    { ID: records[1]?.ID },
  ]);
  expect(formatRecords('{{json .}}', records)).toBe(formatRecords('json', records));
});

test('what a terminal would take for orders is written as JSON can, and stays the same value', () => {
  const Label = 'a\u009b31mb\u202ec\u007f';
  const text = formatRecords('json', [{ Label }]);
  expect(text).toBe('{"Label":"a\\u009b31mb\\u202ec\\u007f"}\n');
  expect(JSON.parse(text)).toEqual({ Label });
  expect(formatRecords('{{json .Label}} {{.L}}', [{ Label, L: { Label } }])).not.toContain('\u009b');
});

test('a field without an end is refused, however long', () => {
  for (const template of ['{{', '{{.ID}} {{', '{{.ID}', '}}{{', '{{'.repeat(50_000)])
    expect(() => formatRecords(template, records)).toThrow(
      expect.objectContaining({ code: 'USAGE', hint: 'a field ends with }}' }),
    );
});

test.each([
  ['{{.Sise}}', 'did you mean `Size`?'],
  ['{{.Config.Usr}}', 'did you mean `User`?'],
  ['{{.ID.x}}', undefined],
  ['{{.toString}}', 'known are ID, Size, Tags, Config, Nothing'],
  ['{{len .Tags}}', 'fields are written like {{.ID}}, and as JSON like {{json .ID}}'],
  ['{{.}}', 'fields are written like {{.ID}}, and as JSON like {{json .ID}}'],
])('%s is refused', (template, hint) => {
  expect(() => formatRecords(template, records)).toThrow(
    expect.objectContaining({
      code: 'USAGE',
      message: `\`${template}\` in \`--format\` is not understood`,
      hint,
    }),
  );
});
