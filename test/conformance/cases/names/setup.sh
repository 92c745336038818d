echo 1 >'with blank.txt'; echo 2 >ümläut.txt; echo 3 >-dash.txt; echo 4 >'dollar$sign.txt'; echo 5 >'#hash'; echo 6 >"quote'\".txt"
long=$(printf '%0200d' 1); mkdir -p "$long/$long"; echo long >"$long/$long/$long"
