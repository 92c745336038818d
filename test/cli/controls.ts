/* oxlint-disable no-control-regex -- control characters are what this is about */

/** Control characters that a terminal acts on; line feed and tab may stay. */
export const controls: RegExp = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;

/** What is left when tsbuild's own colours are taken away. */
export function withoutColors(text: string): string {
  return text.replaceAll(/\u001b\[[\d;]*m/g, '');
}

/** As `withoutColors`, without the cursor movements of a redrawn frame too. */
export function withoutSteering(text: string): string {
  return withoutColors(text).replaceAll(/\u001b\[(?:\?25[lh]|\d+A\r|[KJ])/g, '');
}
